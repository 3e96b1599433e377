package main

import (
	"encoding/hex"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// dice draws what chains are made of, out of few values, so that two draws are often
// equal, one above the other, or one within the other.
type dice struct{ *rand.Rand }

func pick[T any](d dice, list ...T) T { return list[d.IntN(len(list))] }

// oneIn is true once in n times.
func (d dice) oneIn(n int) bool { return d.IntN(n) == 0 }

func (d dice) number() uint64 {
	return pick[uint64](d, 0, 1, 2, 3, 5, 7, 100, math.MaxUint32, math.MaxUint64)
}
func (d dice) small() uint32  { return pick[uint32](d, 0, 1, 2, 3, 5, 7, 100, math.MaxUint32) }
func (d dice) hash() cid.Hash { return hashes[min(d.IntN(8), 2)] }

func maybe[T any](d dice, v T) *T {
	if d.oneIn(3) {
		return nil
	}
	return &v
}

// some returns a part of list, in any order and with repetitions.
func some[T any](d dice, least int, list ...T) []T {
	out := []T{}
	for range least + d.IntN(len(list)+1) {
		out = append(out, pick(d, list...))
	}
	return out
}

var (
	hashes    = [...]cid.Hash{cid.Sum([]byte("a")), cid.Sum([]byte("b")), cid.Sum([]byte("c"))}
	hostNames = []string{
		"example.org", "a.example.org", "b.a.example.org", "*.example.org", "*.a.example.org", "1.1.1.1", "10.0.0.1", "2606:4700::1111", "::1",
		"xn--nxasmq6b.org", "_dmarc.example.org",
	}
	oddHosts = []string{
		"", "*", "*.", ".", "127.1", "010.0.0.1", "0x7f.1", "Example.org", "a..b", "-a.org", "a-.org", "::ffff:1.2.3.4", "fe80::1%eth0", "*.*.org", "*.1.1.1.1",
		"a.*.org", "example.org.", "1::", "::1.2.3.4", "2606:4700:0::1111", "a.0", "a b",
	}
	addresses = []string{"1.1.1.1", "10.0.0.1", "127.0.0.1", "169.254.169.254", "2606:4700::1111", "::1", "64:ff9b::a00:1", "2001:db8::1", "203.0.113.9", "192.88.99.1", "2002:a00:1::", "192.0.1.1", "100.128.0.1"}
	paths     = []string{"/", "/data", "/data/in", "/data/in/x", "/database", "/etc"}
	oddPaths  = []string{"", "data", "/data/", "//data", "/data/../etc", "/data/.", "/data/..", "/da\x00ta", "/data/...", "/.hidden"}
	texts     = []string{"", "a", "ab", "acme/", "acme/tool", "acme"}
	methods   = []string{"GET", "POST", "M-SEARCH"}
)

// power draws a scope of a kind.
func (d dice) power(kind uint8) caps.Power {
	switch kind {
	case caps.KindBlobRead:
		return &caps.BlobRead{CID: d.hash(), RangeStart: maybe(d, d.number()), RangeLen: maybe(d, d.number())}
	case caps.KindBlobWrite:
		return &caps.BlobWrite{Namespace: pick(d, texts...), MaxSize: d.number(), MediaAllow: some(d, 0, "text/plain", "image/png", "a/b")}
	case caps.KindBlobPin:
		return &caps.BlobPin{CID: d.hash(), TTLMicros: d.number()}
	case caps.KindBlobDelete:
		return &caps.BlobDelete{CID: d.hash()}
	case caps.KindToolCall:
		return &caps.ToolCall{ToolID: d.hash(), MaxCalls: d.small(), Constraints: d.constraints()}
	case caps.KindTrainRun:
		return &caps.TrainRun{RecipeID: d.hash(), MaxJobs: d.small(), MaxTokens: d.number(), MaxGPUMillis: maybe(d, d.number())}
	case caps.KindEvalRun:
		return &caps.EvalRun{SuiteID: d.hash(), MaxRuns: d.small()}
	case caps.KindDeployPromote:
		return &caps.DeployPromote{RingID: uint8(d.IntN(3)), PolicyID: d.hash()}
	case caps.KindComputeSpawn:
		return &caps.ComputeSpawn{PoolID: d.hash(), MaxWorkers: d.small(), MaxCPUMicros: d.number(), MaxIO: d.small()}
	case caps.KindCellRead:
		return &caps.CellRead{CellID: d.hash(), KeyPrefix: []byte(pick(d, texts...))}
	case caps.KindCellWrite:
		return &caps.CellWrite{CellID: d.hash(), MaxEvents: d.small(), EventTypeAllow: some[uint32](d, 0, 1, 2, 3)}
	}
	return d.world(kind)
}

// world draws a scope of what modules may do outside.
func (d dice) world(kind uint8) caps.Power {
	host, path := pick(d, hostNames...), pick(d, paths...)
	if d.oneIn(25) {
		host, path = pick(d, oddHosts...), pick(d, oddPaths...)
	}
	switch kind {
	case caps.KindNetConnect:
		x := &caps.NetConnect{Hosts: slices.Clip(append(some(d, 0, hostNames...), host)), Ports: some[uint32](d, 1, 80, 443, 65535), Methods: some(d, 0, methods...)}
		if d.oneIn(25) {
			x.Ports = append(x.Ports, pick[uint32](d, 0, 65536, math.MaxUint32))
		}
		if d.oneIn(25) {
			x.Methods = append(x.Methods, pick(d, "get", "", "G T", "ABCDEFGHIJKLMNOPQRSTUVWXYZ-ABCDEF"))
		}
		return x
	case caps.KindFsRead:
		return &caps.FsRead{Path: path}
	case caps.KindFsWrite:
		return &caps.FsWrite{Path: path, MaxBytes: d.number()}
	case caps.KindClock:
		return &caps.Clock{}
	case caps.KindRandom:
		return &caps.Random{}
	case caps.KindSecretRead:
		return &caps.SecretRead{Name: pick(d, texts...)}
	case caps.KindPackageRun:
		return &caps.PackageRun{PackageID: d.hash(), Ring: uint8(d.IntN(4))}
	}
	return &caps.PackagePublish{NamePrefix: pick(d, texts...)}
}

// argument is what calls have in their payload, by pointer.
var arguments = []struct {
	pointer string
	value   []byte
	ops     []string
}{
	{"/amount", can.AppendUint(nil, 250), []string{"eq", "le", "ge", "in"}},
	{"/low", can.AppendInt(nil, -3), []string{"eq", "le", "ge", "in"}},
	{"/to", can.AppendText(nil, "acme"), []string{"eq", "in", "prefix"}},
	{"/list/1", can.AppendBytes(nil, []byte{1, 2, 3}), []string{"eq", "in", "prefix"}},
	{"/7", can.AppendUint(nil, 9), []string{"eq", "le"}},
	{"/a~1b/~0", can.AppendUint(nil, 4), []string{"eq", "ge"}},
}

// payload is {7: 9, 8: 1, "8": 1, "to": "acme", "a/b": {"~": 4}, "low": -3, "list": [1, 010203],
// "amount": 250}.
func payload() []byte {
	b := can.AppendUint(can.AppendUint(can.AppendMap(nil, 8), 7), 9)
	b = can.AppendUint(can.AppendUint(b, 8), 1)
	b = can.AppendUint(can.AppendText(b, "8"), 1)
	b = can.AppendText(can.AppendText(b, "to"), "acme")
	b = can.AppendUint(can.AppendText(can.AppendMap(can.AppendText(b, "a/b"), 1), "~"), 4)
	b = can.AppendInt(can.AppendText(b, "low"), -3)
	b = can.AppendBytes(can.AppendUint(can.AppendList(can.AppendText(b, "list"), 2), 1), []byte{1, 2, 3})
	return can.AppendUint(can.AppendText(b, "amount"), 250)
}

// constraints draws constraints most of which hold for the call.
func (d dice) constraints() map[string]string {
	m := map[string]string{}
	for range d.IntN(4) {
		d.constrain(m)
	}
	return m
}

// constrain adds a constraint, or changes one.
func (d dice) constrain(m map[string]string) {
	switch d.IntN(9) {
	case 0:
		m[pick(d, "package", "module", "request_hash")] = hashes[min(d.IntN(12), 2)].String()
	case 1:
		m["ledger"] = hashes[min(d.IntN(12), 2)].Hex()
	case 2:
		m["ring_max"] = pick(d, "1", "2", "3", "255", "0")
	default:
		a := pick(d, arguments...)
		op := pick(d, a.ops...)
		m["arg"+a.pointer+":"+op] = hex.EncodeToString(d.operand(op, a.value))
	}
}

// operand draws what an operator takes; it mostly holds for v.
func (d dice) operand(op string, v []byte) []byte {
	other := pick(d, arguments...).value
	switch op {
	case "in":
		list := some(d, 0, v, other, can.AppendUint(nil, 1))
		if !d.oneIn(8) {
			list = append(list, v)
		}
		b := can.AppendList(nil, len(list))
		for _, x := range list {
			b = append(b, x...)
		}
		return b
	case "prefix":
		if v[0] == can.Text {
			return can.AppendText(nil, pick(d, "", "a", "ac", "acme", "acme!", "x"))
		}
		return can.AppendBytes(nil, pick(d, []byte{}, []byte{1}, []byte{1, 2}, []byte{1, 2, 3}, []byte{2}))
	case "eq":
		return v
	}
	if op == "ge" != d.oneIn(8) {
		return pick(d, can.AppendInt(nil, math.MinInt64), can.AppendInt(nil, -4), can.AppendInt(nil, -3), can.AppendUint(nil, 0), can.AppendUint(nil, 4))
	}
	return pick(d, can.AppendUint(nil, math.MaxUint64), can.AppendUint(nil, 500), can.AppendUint(nil, 250), can.AppendInt(nil, 9), can.AppendInt(nil, 300))
}

// misconstrain adds a constraint that means nothing, or whose pointer leads to two values.
func (d dice) misconstrain(m map[string]string) {
	if d.oneIn(4) {
		m["arg/8:eq"] = "0301"
		return
	}
	m[pick(d, "ring_max", "ledger", "package", "arg/amount:le", "arg/to:in", "arg:eq", "arg/amount:lt", "arg/~2:eq", "argx:eq", "other", "arg/list/01:eq", "arg/to:prefix", "arg/7/:eq")] = pick(d,
		"0", "00", "256", "0300", "03FF01", "0600", "0701", "0700", "00", "", "0", hashes[0].Hex(), hashes[0].String(), "sha256:", "0402", "030", "03fa01")
}

// narrow returns a subset of p, mostly.
func (d dice) narrow(p caps.Power) caps.Power {
	q := clone(p)
	v := reflect.ValueOf(q).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); d.oneIn(2) {
			d.tighten(f)
		}
	}
	if x, ok := q.(*caps.FsRead); ok && d.oneIn(2) && x.Path != "/" {
		x.Path += "/x"
	}
	if x, ok := q.(*caps.ToolCall); ok {
		for key := range x.Constraints {
			if key == "ring_max" && x.Constraints[key] == "255" {
				x.Constraints[key] = "2"
			}
		}
	}
	return q
}

// tighten lowers a limit, shortens a list, adds a constraint.
func (d dice) tighten(f reflect.Value) {
	switch x := f.Addr().Interface().(type) {
	case *uint64:
		*x = pick(d, *x, *x/2, *x-min(*x, 1))
	case *uint32:
		*x = pick(d, *x, *x/2, *x-min(*x, 1))
	case **uint64:
		if *x != nil {
			*x = pick(d, *x, &[]uint64{**x / 2}[0])
		}
	case *[]string:
		if n := len(*x); n > 1 {
			*x = slices.Clip((*x)[d.IntN(n):])
		}
	case *[]uint32:
		if n := len(*x); n > 1 {
			*x = slices.Clip((*x)[:1+d.IntN(n)])
		}
	case *[]byte:
		*x = append(slices.Clone(*x), pick(d, "", "x", "y")...)
	case *map[string]string:
		if y := d.constraints(); d.oneIn(2) {
			for _, key := range slices.Sorted(maps.Keys(y)) {
				if _, has := (*x)[key]; !has {
					(*x)[key] = y[key]
				}
			}
		}
	}
}

// clone copies a scope deeply enough for its fields to be changed.
func clone(p caps.Power) caps.Power {
	v := reflect.New(reflect.TypeOf(p).Elem())
	v.Elem().Set(reflect.ValueOf(p).Elem())
	q := v.Interface().(caps.Power)
	if x, ok := q.(*caps.ToolCall); ok {
		x.Constraints = maps.Clone(x.Constraints)
		if x.Constraints == nil {
			x.Constraints = map[string]string{}
		}
	}
	return q
}

// alter replaces one field of p by one that is drawn anew: wider, narrower, equal or
// something else.
func (d dice) alter(p caps.Power) caps.Power {
	q, fresh := clone(p), d.power(p.Kind())
	v := reflect.ValueOf(q).Elem()
	if n := v.NumField(); n > 0 {
		i := d.IntN(n)
		v.Field(i).Set(reflect.ValueOf(fresh).Elem().Field(i))
	}
	return q
}

func addrOf(s string) (netip.Addr, caps.Addr) {
	a, _ := caps.ParseAddr(s)
	return netip.MustParseAddr(s), a
}
