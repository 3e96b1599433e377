package caps

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// Scopes are drawn from small worlds, so that two of them often meet.

func drawHash(t *rapid.T) cid.Hash {
	return hashOf(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "hash"))
}

func drawCount(t *rapid.T, max uint64) uint64 { return rapid.Uint64Range(0, max).Draw(t, "count") }

func drawOptional(t *rapid.T) *uint64 {
	if rapid.Bool().Draw(t, "present") {
		return ptr(drawCount(t, 9))
	}
	return nil
}

func drawList[T any](t *rapid.T, world []T, least int) []T {
	return rapid.SliceOfN(rapid.SampledFrom(world), least, 4).Draw(t, "list")
}

func drawPath(t *rapid.T) string {
	return rapid.SampledFrom([]string{"/", "/a", "/a/b", "/ab", "/a/b/c", "/b"}).Draw(t, "path")
}

func drawText(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "x", "xy", "xyz", "y"}).Draw(t, "text")
}

func mediaWorld() []string { return []string{"M", "N", "O"} } // methods too
func typeWorld() []uint32  { return []uint32{1, 2, 300} }
func hostWorld() []string {
	return []string{"a.org", "b.a.org", "*.a.org", "c.b.a.org", "*.b.a.org", "10.0.0.1", "::1"}
}

// drawPower draws a sound scope of a kind.
func drawPower(t *rapid.T, kind uint8) Power {
	switch kind {
	case KindBlobRead:
		return &BlobRead{drawHash(t), drawOptional(t), drawOptional(t)}
	case KindBlobWrite:
		return &BlobWrite{drawText(t), drawCount(t, 9), drawList(t, mediaWorld(), 0)}
	case KindBlobPin:
		return &BlobPin{drawHash(t), drawCount(t, 9)}
	case KindBlobDelete:
		return &BlobDelete{drawHash(t)}
	case KindToolCall:
		return &ToolCall{drawHash(t), uint32(drawCount(t, 9)), drawConstraints(t)}
	case KindTrainRun:
		return &TrainRun{drawHash(t), uint32(drawCount(t, 9)), drawCount(t, 9), drawOptional(t)}
	case KindEvalRun:
		return &EvalRun{drawHash(t), uint32(drawCount(t, 9))}
	case KindDeployPromote:
		return &DeployPromote{uint8(drawCount(t, 2)), drawHash(t)}
	case KindComputeSpawn:
		return &ComputeSpawn{drawHash(t), uint32(drawCount(t, 3)), drawCount(t, 3), uint32(drawCount(t, 3))}
	case KindCellRead:
		return &CellRead{drawHash(t), []byte(drawText(t))}
	case KindCellWrite:
		return &CellWrite{drawHash(t), uint32(drawCount(t, 9)), drawList(t, typeWorld(), 0)}
	case KindNetConnect:
		return &NetConnect{drawList(t, hostWorld(), 0), drawList(t, typeWorld(), 0), drawList(t, mediaWorld(), 0)}
	case KindFsRead:
		return &FsRead{drawPath(t)}
	case KindFsWrite:
		return &FsWrite{drawPath(t), drawCount(t, 9)}
	case KindClock:
		return &Clock{}
	case KindRandom:
		return &Random{}
	case KindSecretRead:
		return &SecretRead{drawText(t)}
	case KindPackageRun:
		return &PackageRun{drawHash(t), uint8(drawCount(t, 2))}
	case KindPackagePublish:
		return &PackagePublish{drawText(t)}
	}
	panic(fmt.Sprintf("no generator for %s", KindName(kind)))
}

// drawOperand draws a value that suits an operator.
func drawOperand(t *rapid.T, op string) any {
	integers := []any{uint64(0), uint64(1), uint64(250), -1, 0, 1, 250}
	texts := []any{"", "a", "ac", "acme", []byte("a")}
	switch op {
	case OpLe, OpGe:
		return rapid.SampledFrom(integers).Draw(t, "integer")
	case OpPrefix:
		return rapid.SampledFrom(texts).Draw(t, "text")
	case OpIn:
		return list(rapid.SliceOfN(rapid.SampledFrom(append(integers, texts...)), 0, 3).Draw(t, "items"))
	}
	return rapid.SampledFrom(append(integers, texts...)).Draw(t, "value")
}

func drawConstraints(t *rapid.T) map[string]string {
	m := map[string]string{}
	for range rapid.IntRange(0, 3).Draw(t, "constraints") {
		switch rapid.IntRange(0, 6).Draw(t, "key") {
		case 0:
			m[ConstraintPackage] = drawHash(t).String()
		case 1:
			m[ConstraintRingMax] = fmt.Sprint(drawCount(t, 3))
		case 2:
			m[ConstraintLedger] = drawHash(t).Hex()
		default:
			op := rapid.SampledFrom([]string{OpEq, OpLe, OpGe, OpIn, OpPrefix}).Draw(t, "op")
			k, v := Arg(rapid.SampledFrom([]string{"/x", "/y/0"}).Draw(t, "pointer"), op, value(drawOperand(t, op)))
			m[k] = v
		}
	}
	return m
}

// narrow draws a scope that allows no more than p.
func narrow(t *rapid.T, p Power) Power {
	switch p := p.(type) {
	case *BlobRead:
		return narrowRange(t, p)
	case *BlobWrite:
		return &BlobWrite{p.Namespace, drawCount(t, p.MaxSize), sublist(t, p.MediaAllow, 0)}
	case *BlobPin:
		return &BlobPin{p.CID, drawCount(t, p.TTLMicros)}
	case *ToolCall:
		return &ToolCall{p.ToolID, uint32(drawCount(t, uint64(p.MaxCalls))), narrowConstraints(t, p.Constraints)}
	case *TrainRun:
		return &TrainRun{p.RecipeID, uint32(drawCount(t, uint64(p.MaxJobs))), drawCount(t, p.MaxTokens), lower(t, p.MaxGPUMillis)}
	case *EvalRun:
		return &EvalRun{p.SuiteID, uint32(drawCount(t, uint64(p.MaxRuns)))}
	case *ComputeSpawn:
		return &ComputeSpawn{p.PoolID, uint32(drawCount(t, uint64(p.MaxWorkers))), drawCount(t, p.MaxCPUMicros), uint32(drawCount(t, uint64(p.MaxIO)))}
	case *CellRead:
		return &CellRead{p.CellID, append(p.KeyPrefix[:len(p.KeyPrefix):len(p.KeyPrefix)], drawText(t)...)}
	case *CellWrite:
		return &CellWrite{p.CellID, uint32(drawCount(t, uint64(p.MaxEvents))), sublistOf(t, p.EventTypeAllow, typeWorld())}
	case *NetConnect:
		var hosts []string
		for _, h := range sublist(t, p.Hosts, 0) {
			if h[0] == '*' && rapid.Bool().Draw(t, "fill in") {
				h = rapid.SampledFrom([]string{"x", "0", "a-b"}).Draw(t, "label") + h[1:]
			}
			hosts = append(hosts, h)
		}
		return &NetConnect{hosts, sublist(t, p.Ports, 0), sublistOf(t, p.Methods, mediaWorld())}
	case *FsRead:
		return &FsRead{below(t, p.Path)}
	case *FsWrite:
		return &FsWrite{below(t, p.Path), drawCount(t, p.MaxBytes)}
	case *PackageRun:
		return &PackageRun{p.PackageID, uint8(drawCount(t, uint64(p.Ring)))}
	case *PackagePublish:
		return &PackagePublish{p.NamePrefix + drawText(t)}
	}
	return p // nothing narrower exists
}

func narrowRange(t *rapid.T, p *BlobRead) *BlobRead {
	start, room := valueOr(p.RangeStart, 0), valueOr(p.RangeLen, 9)
	skip := drawCount(t, room)
	c := &BlobRead{CID: p.CID, RangeStart: ptr(start + skip)}
	if p.RangeLen != nil || rapid.Bool().Draw(t, "end") {
		c.RangeLen = ptr(drawCount(t, room-skip))
	}
	return c
}

func narrowConstraints(t *rapid.T, m map[string]string) map[string]string {
	out := drawConstraints(t)
	maps.Copy(out, m)
	if ring, ok := decimal(m[ConstraintRingMax]); ok {
		out[ConstraintRingMax] = fmt.Sprint(drawCount(t, ring))
	}
	return out
}

func lower(t *rapid.T, p *uint64) *uint64 {
	if p == nil {
		return drawOptional(t)
	}
	return ptr(drawCount(t, *p))
}

// sublist draws items of list in any order, at least least of them.
func sublist[T any](t *rapid.T, list []T, least int) []T {
	if len(list) == 0 {
		return nil
	}
	return drawList(t, list, least)
}

// sublistOf is sublist for a list whose absence allows the whole world.
func sublistOf[T any](t *rapid.T, list, world []T) []T {
	if len(list) == 0 {
		return drawList(t, world, 0)
	}
	return sublist(t, list, 1)
}

func below(t *rapid.T, p string) string {
	if !rapid.Bool().Draw(t, "deeper") {
		return p
	}
	if p == "/" {
		p = ""
	}
	return p + "/" + rapid.SampledFrom([]string{"x", "x/y", "...", " "}).Draw(t, "segment")
}

// widen returns every way in which the test knows to allow more than p.
func widen(p Power) []Power {
	z := hashOf("z")
	switch p := p.(type) {
	case *BlobRead:
		out := []Power{&BlobRead{z, p.RangeStart, p.RangeLen}}
		if s := valueOr(p.RangeStart, 0); s > 0 {
			out = append(out, &BlobRead{p.CID, nil, p.RangeLen}, &BlobRead{p.CID, ptr(s - 1), p.RangeLen})
		}
		if p.RangeLen != nil {
			out = append(out, &BlobRead{p.CID, p.RangeStart, nil}, &BlobRead{p.CID, p.RangeStart, ptr(*p.RangeLen + 1)})
		}
		return out
	case *BlobWrite:
		return []Power{
			&BlobWrite{p.Namespace + "z", p.MaxSize, p.MediaAllow},
			&BlobWrite{p.Namespace, p.MaxSize + 1, p.MediaAllow},
			&BlobWrite{p.Namespace, p.MaxSize, more(p.MediaAllow, "z")},
		}
	case *BlobPin:
		return []Power{&BlobPin{z, p.TTLMicros}, &BlobPin{p.CID, p.TTLMicros + 1}}
	case *BlobDelete:
		return []Power{&BlobDelete{z}}
	case *ToolCall:
		return widenCall(p)
	case *TrainRun:
		out := []Power{
			&TrainRun{z, p.MaxJobs, p.MaxTokens, p.MaxGPUMillis}, &TrainRun{p.RecipeID, p.MaxJobs + 1, p.MaxTokens, p.MaxGPUMillis},
			&TrainRun{p.RecipeID, p.MaxJobs, p.MaxTokens + 1, p.MaxGPUMillis},
		}
		if p.MaxGPUMillis != nil {
			out = append(out, &TrainRun{p.RecipeID, p.MaxJobs, p.MaxTokens, nil}, &TrainRun{p.RecipeID, p.MaxJobs, p.MaxTokens, ptr(*p.MaxGPUMillis + 1)})
		}
		return out
	case *EvalRun:
		return []Power{&EvalRun{z, p.MaxRuns}, &EvalRun{p.SuiteID, p.MaxRuns + 1}}
	case *DeployPromote:
		return []Power{&DeployPromote{p.RingID + 1, p.PolicyID}, &DeployPromote{p.RingID, z}}
	case *ComputeSpawn:
		return []Power{
			&ComputeSpawn{z, p.MaxWorkers, p.MaxCPUMicros, p.MaxIO}, &ComputeSpawn{p.PoolID, p.MaxWorkers + 1, p.MaxCPUMicros, p.MaxIO},
			&ComputeSpawn{p.PoolID, p.MaxWorkers, p.MaxCPUMicros + 1, p.MaxIO}, &ComputeSpawn{p.PoolID, p.MaxWorkers, p.MaxCPUMicros, p.MaxIO + 1},
		}
	}
	return widenPlace(p)
}

func widenPlace(p Power) []Power {
	z := hashOf("z")
	switch p := p.(type) {
	case *CellRead:
		out := []Power{&CellRead{z, p.KeyPrefix}}
		if n := len(p.KeyPrefix); n > 0 {
			out = append(out, &CellRead{p.CellID, p.KeyPrefix[:n-1]}, &CellRead{p.CellID, nil})
		}
		return out
	case *CellWrite:
		out := []Power{&CellWrite{z, p.MaxEvents, p.EventTypeAllow}, &CellWrite{p.CellID, p.MaxEvents + 1, p.EventTypeAllow}}
		if len(p.EventTypeAllow) > 0 {
			out = append(out, &CellWrite{p.CellID, p.MaxEvents, nil}, &CellWrite{p.CellID, p.MaxEvents, more(p.EventTypeAllow, 77)})
		}
		return out
	case *NetConnect:
		out := []Power{
			&NetConnect{more(p.Hosts, "z.z"), p.Ports, p.Methods}, &NetConnect{more(p.Hosts, "x.y.a.org"), p.Ports, p.Methods},
			&NetConnect{more(p.Hosts, "*.org"), p.Ports, p.Methods}, &NetConnect{p.Hosts, more(p.Ports, 77), p.Methods},
		}
		if len(p.Methods) > 0 {
			out = append(out, &NetConnect{p.Hosts, p.Ports, nil}, &NetConnect{p.Hosts, p.Ports, more(p.Methods, "Z")})
		}
		return out
	case *FsRead:
		out := []Power{&FsRead{p.Path + "z/.."}, &FsRead{"/zz/.." + p.Path}, &FsRead{p.Path + "//"}}
		if p.Path != "/" {
			out = append(out, &FsRead{"/"}, &FsRead{p.Path + "z"}, &FsRead{p.Path[:len(p.Path)-1] + "z"})
		}
		return out
	case *FsWrite:
		return []Power{&FsWrite{p.Path, p.MaxBytes + 1}, &FsWrite{"z" + p.Path, p.MaxBytes}, &FsWrite{p.Path + "/..", p.MaxBytes}}
	case *SecretRead:
		return []Power{&SecretRead{p.Name + "z"}}
	case *PackageRun:
		return []Power{&PackageRun{z, p.Ring}, &PackageRun{p.PackageID, p.Ring + 1}}
	case *PackagePublish:
		if n := len(p.NamePrefix); n > 0 {
			return []Power{&PackagePublish{p.NamePrefix[:n-1]}, &PackagePublish{"z" + p.NamePrefix}}
		}
	}
	return nil // it already allows everything of its kind
}

func more[T any](list []T, x T) []T { return append(list[:len(list):len(list)], x) }

func widenCall(p *ToolCall) []Power {
	out := []Power{&ToolCall{hashOf("z"), p.MaxCalls, p.Constraints}, &ToolCall{p.ToolID, p.MaxCalls + 1, p.Constraints}}
	for k := range p.Constraints {
		less := maps.Clone(p.Constraints)
		delete(less, k)
		out = append(out, &ToolCall{p.ToolID, p.MaxCalls, less})
	}
	if ring, ok := decimal(p.Constraints[ConstraintRingMax]); ok {
		looser := maps.Clone(p.Constraints)
		looser[ConstraintRingMax] = fmt.Sprint(ring + 1)
		out = append(out, &ToolCall{p.ToolID, p.MaxCalls, looser})
	}
	return out
}

func covers(parent, child Power) error {
	return Covers(parent.Kind(), parent.AppendCAN(nil), child.AppendCAN(nil))
}

func TestNarrowingIsCoveredAndWideningIsNot(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(KindName(kind), rapid.MakeCheck(func(t *rapid.T) {
			p := drawPower(t, kind)
			if err := CheckScope(ScopeOf(p)); err != nil {
				t.Fatalf("%+v is not sound: %v", p, err)
			}
			c := narrow(t, p)
			if err := covers(p, c); err != nil {
				t.Fatalf("%+v does not cover its narrowing %+v: %v", p, c, err)
			}
			for _, w := range widen(p) {
				if err := covers(p, w); !errors.Is(err, ErrScope) && !errors.Is(err, ErrConstraint) {
					t.Fatalf("%+v covers the wider %+v: %v", p, w, err)
				}
			}
		}))
	}
}

func TestCoversIsTransitive(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(KindName(kind), rapid.MakeCheck(func(t *rapid.T) {
			a, b, c := drawPower(t, kind), drawPower(t, kind), drawPower(t, kind)
			if rapid.Bool().Draw(t, "related") {
				b = narrow(t, a)
			}
			if covers(a, b) == nil && covers(b, c) == nil && covers(a, c) != nil {
				t.Fatalf("%+v covers %+v covers %+v: %v", a, b, c, covers(a, c))
			}
		}))
	}
}

// A call that satisfies a subset of constraints satisfies the whole: the two
// checks, subset and meet, cannot contradict each other.
func TestSubsetImpliesMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parent, child := drawConstraints(t), drawConstraints(t)
		if rapid.Bool().Draw(t, "related") {
			child = narrowConstraints(t, parent)
		}
		p, err1 := parseConstraints(parent)
		c, err2 := parseConstraints(child)
		if err1 != nil || err2 != nil {
			t.Fatalf("a drawn constraint is malformed: %v, %v", err1, err2)
		}
		call := &Call{Package: drawHash(t), Ledger: drawHash(t), Ring: uint8(drawCount(t, 3))}
		call.Payload = value(pairs{"x", drawOperand(t, OpEq), "y", list{drawOperand(t, OpEq)}})
		both := &Chain{}
		places := map[string]int{}
		both.place(p, places)
		both.place(c, places)
		found := resolve(call.Payload, both.pointers)
		if c.within(p) == nil && allHold(c, call, found) && !allHold(p, call, found) {
			t.Fatalf("%v is a subset of %v and allows %x, which the parent denies", child, parent, call.Payload)
		}
	})
}

func allHold(list constraints, call *Call, found [][]byte) bool {
	for i := range list {
		if list[i].holds(call, found) != "" {
			return false
		}
	}
	return true
}

// A chain of narrowings is allowed what its leaf says; with one link widened in
// its middle it is allowed nothing.
func TestChainsOfNarrowings(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		kind := rapid.SampledFrom(Kinds()).Draw(rt, "kind")
		powers := []Power{drawPower(rt, kind)}
		for range rapid.IntRange(1, 3).Draw(rt, "links") {
			powers = append(powers, narrow(rt, powers[len(powers)-1]))
		}
		leaf := powers[len(powers)-1]
		if err := checkChain(t, powers, leaf); err != nil {
			rt.Fatalf("%+v: %v", powers, err)
		}
		at := rapid.IntRange(1, len(powers)-1).Draw(rt, "widened")
		if wider := widen(powers[at-1]); len(wider) > 0 {
			powers[at] = rapid.SampledFrom(wider).Draw(rt, "wider")
			if checkChain(t, powers, leaf) == nil {
				rt.Fatalf("link %d of %+v widens and is allowed", at, powers)
			}
		}
	})
}

// chainOf returns a chain of roots and narrowings by the authority itself.
func chainOf(t tb, powers []Power) *Chain {
	t.Helper()
	var list []*step
	for i, p := range powers {
		list = append(list, &step{by: authority(), parent: i > 0, cap: Capability{
			Subject: executor().Agent(), NotBefore: opens, ExpiresAt: closes, Scope: ScopeOf(p),
		}})
	}
	return proofOf(t, list)
}

func checkChain(t *testing.T, powers []Power, leaf Power) error {
	t.Helper()
	u := use()
	u.Kind, u.Scope, u.Call = leaf.Kind(), leaf.AppendCAN(nil), nil
	_, err := chainOf(t, powers).Check(u)
	return err
}

// The walk that serves many pointers at once agrees with a plain one for each.
func TestResolveAgreesWithAPlainWalk(t *testing.T) {
	leaf := rapid.SampledFrom([]any{nil, true, uint64(3), -3, "s", []byte("b")})
	tree := rapid.Deferred(func() *rapid.Generator[any] { return leaf })
	for range 3 {
		inner := tree
		tree = rapid.Custom(func(t *rapid.T) any {
			switch rapid.IntRange(0, 2).Draw(t, "shape") {
			case 0:
				return list(rapid.SliceOfN(inner, 0, 3).Draw(t, "items"))
			case 1:
				var p pairs
				for _, k := range []any{uint64(0), uint64(1), 1, "0", "1", "a"} { // in canonical order
					if rapid.Bool().Draw(t, "key") {
						p = append(p, k, inner.Draw(t, "item"))
					}
				}
				return p
			}
			return leaf.Draw(t, "leaf")
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		raw := value(tree.Draw(t, "payload"))
		pointers := rapid.SliceOfN(rapid.StringMatching(`(/(0|1|2|a|00|b|3)){0,3}`), 1, 12).Draw(t, "pointers")
		got := resolveAll(raw, pointers)
		for _, p := range pointers {
			tokens, _ := splitPointer(p)
			if want := plainWalk(raw, tokens); string(got[p]) != string(want) {
				t.Fatalf("%q in %x: got %x, want %x", p, raw, got[p], want)
			}
		}
	})
}

// plainWalk returns the value that tokens lead to in a canonical value, or nil.
func plainWalk(v []byte, tokens []string) []byte {
	if len(tokens) == 0 {
		return v
	}
	r := can.NewReader(v)
	var hits [][]byte
	switch tag, _ := r.Kind(); tag {
	case can.List:
		for i := range r.List() {
			if item := r.Raw(); fmt.Sprint(i) == tokens[0] {
				hits = append(hits, item)
			}
		}
	case can.Map:
		for range r.MapHead() {
			key, item := r.Raw(), r.Raw()
			k := can.NewReader(key)
			if key[0] == can.Text && k.Text() == tokens[0] || key[0] == can.Uint && fmt.Sprint(k.Uint()) == tokens[0] {
				hits = append(hits, item)
			}
		}
	}
	if len(hits) != 1 {
		return nil
	}
	return plainWalk(hits[0], tokens[1:])
}
