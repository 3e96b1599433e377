package main

import (
	"math"
	"net/netip"
	"slices"

	"github.com/mythos-run/mythos/internal/capcheck/second"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// use draws what a chain whose leaf is p is asked for, in the words of both
// evaluators: mostly something that p covers.
func (d dice) use(p caps.Power) (caps.Use, second.Use) {
	if d.oneIn(12) {
		p = d.alter(p)
	}
	if d.oneIn(60) {
		p = d.power(pick(d, caps.Kinds()...))
	}
	a, b := caps.Use{}, second.Use{}
	call, isCall := p.(*caps.ToolCall)
	switch {
	case d.oneIn(10): // a bare scope
		q := d.narrow(p)
		a.Kind, a.Scope = q.Kind(), q.AppendCAN(nil)
		b.Kind, b.Scope = a.Kind, a.Scope
	case isCall:
		a.Call = &caps.Call{
			Tool: call.ToolID, Package: hashes[2], Module: hashes[2], RequestHash: hashes[2], Ledger: hashes[2], Ring: uint8(d.IntN(2)), Payload: payload(),
		}
		if d.oneIn(40) {
			a.Call.Ledger, a.Call.Ring = cid.Hash{}, 9
		}
		if d.oneIn(60) {
			a.Call.Payload = pick(d, nil, []byte{7}, []byte{0}, append(payload(), 0))
		}
		need := caps.ToolCall{ToolID: a.Call.Tool, MaxCalls: 1}
		a.Kind, a.Scope, b.Call = caps.KindToolCall, need.AppendCAN(nil), a.Call
	default:
		var need caps.Power
		a.Request, need, b.Dial = d.request(p)
		b.Kind, b.Scope = need.Kind(), need.AppendCAN(nil)
	}
	return a, b
}

// request draws a concrete use, and writes it as the narrowest scope of its kind
// (RFC-MYTHOS-0008 §5.1).
func (d dice) request(p caps.Power) (caps.Request, caps.Power, *netip.Addr) {
	switch x := p.(type) {
	case *caps.BlobRead:
		r := &caps.ReadBlob{CID: x.CID, Len: x.RangeLen}
		if x.RangeStart != nil {
			r.Start = *x.RangeStart
		}
		return r, &caps.BlobRead{CID: r.CID, RangeStart: &r.Start, RangeLen: r.Len}, nil
	case *caps.BlobWrite:
		r := &caps.WriteBlob{Namespace: x.Namespace, Size: x.MaxSize, Media: pick(d, slices.Concat(x.MediaAllow, []string{"a/b"})...)}
		return r, &caps.BlobWrite{Namespace: r.Namespace, MaxSize: r.Size, MediaAllow: []string{r.Media}}, nil
	case *caps.BlobPin:
		return &caps.PinBlob{CID: x.CID, TTLMicros: x.TTLMicros}, x, nil
	case *caps.BlobDelete:
		return &caps.DeleteBlob{CID: x.CID}, x, nil
	case *caps.TrainRun:
		r := &caps.Train{Recipe: x.RecipeID, Tokens: x.MaxTokens, GPUMillis: d.number()}
		if x.MaxGPUMillis != nil {
			r.GPUMillis = *x.MaxGPUMillis
		}
		return r, &caps.TrainRun{RecipeID: r.Recipe, MaxJobs: 1, MaxTokens: r.Tokens, MaxGPUMillis: &r.GPUMillis}, nil
	case *caps.EvalRun:
		return &caps.Evaluate{Suite: x.SuiteID}, &caps.EvalRun{SuiteID: x.SuiteID, MaxRuns: 1}, nil
	case *caps.DeployPromote:
		return &caps.Promote{Ring: x.RingID, Policy: x.PolicyID}, x, nil
	case *caps.ComputeSpawn:
		return &caps.Spawn{Pool: x.PoolID, Workers: x.MaxWorkers, CPUMicros: x.MaxCPUMicros, IO: x.MaxIO}, x, nil
	case *caps.CellRead:
		return &caps.ReadCell{Cell: x.CellID, Key: x.KeyPrefix}, x, nil
	case *caps.CellWrite:
		types := append([]uint32{pick[uint32](d, 1, 2, 3)}, x.EventTypeAllow...)
		if len(x.EventTypeAllow) > 0 && d.oneIn(2) {
			types = types[1:]
		}
		return &caps.WriteCell{Cell: x.CellID, Types: types}, &caps.CellWrite{CellID: x.CellID, MaxEvents: uint32(len(types)), EventTypeAllow: types}, nil
	case *caps.NetConnect:
		return d.connect(x)
	}
	return d.outside(p)
}

func (d dice) connect(x *caps.NetConnect) (caps.Request, caps.Power, *netip.Addr) {
	r := &caps.Connect{Host: pick(d, slices.Concat(x.Hosts, []string{pick(d, hostNames...)})...), Port: uint16(pick(d, slices.Concat(x.Ports, []uint32{80})...) % math.MaxUint16)}
	if len(r.Host) > 1 && r.Host[0] == '*' && !d.oneIn(6) {
		r.Host = "x" + r.Host[1:]
	}
	if len(x.Methods) > 0 {
		r.Method = pick(d, x.Methods...)
	}
	if d.oneIn(12) {
		r.Method = pick(d, "", "get", "GET")
	}
	var to netip.Addr
	if !d.oneIn(40) {
		to, r.Addr = addrOf(pick(d, addresses...))
	}
	if _, ok := caps.ParseAddr(r.Host); ok && !d.oneIn(4) {
		to, r.Addr = addrOf(r.Host)
	}
	need := &caps.NetConnect{Hosts: []string{r.Host}, Ports: []uint32{uint32(r.Port)}}
	if r.Method != "" {
		need.Methods = []string{r.Method}
	}
	return r, need, &to
}

func (d dice) outside(p caps.Power) (caps.Request, caps.Power, *netip.Addr) {
	switch x := p.(type) {
	case *caps.FsRead:
		return &caps.ReadFile{Path: x.Path}, x, nil
	case *caps.FsWrite:
		return &caps.WriteFile{Path: x.Path, Written: x.MaxBytes}, x, nil
	case *caps.Clock:
		return &caps.ReadClock{}, x, nil
	case *caps.Random:
		return &caps.ReadRandom{}, x, nil
	case *caps.SecretRead:
		return &caps.ReadSecret{Name: x.Name}, x, nil
	case *caps.PackageRun:
		return &caps.RunPackage{Package: x.PackageID, Ring: x.Ring}, x, nil
	case *caps.PackagePublish:
		name := x.NamePrefix + pick(d, "x", "tool", "y/z")
		return &caps.PublishPackage{Name: name}, &caps.PackagePublish{NamePrefix: name}, nil
	}
	x := p.(*caps.ToolCall) // asked for without a call, so as nothing but a scope
	return &caps.PinBlob{CID: x.ToolID}, &caps.BlobPin{CID: x.ToolID}, nil
}
