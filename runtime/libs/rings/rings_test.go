package rings

import (
	"errors"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

func key(n byte) sig.Key { return sig.NewKey([32]byte{n}, "TEST ONLY") }

func ref[T any](v T) *T { return &v }

func TestDefault(t *testing.T) {
	p := Default(1_767_225_600_000_000)
	raw, err := Sign(p, key(1))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got.PolicyID != p.PolicyID || !got.Signer.Equal(key(1).Agent()) || got.Ring != 0 || got.Version != 1 {
		t.Errorf("got %+v", got)
	}
	if err := errors.Join(got.AdmitRing(0), got.AdmitModule(1), got.AdmitModule(4), got.AdmitCap(5), got.AdmitCap(32), got.AdmitCap(36), got.AdmitSandbox(SandboxOwnKernel), got.AdmitSandbox(SandboxNamespaces)); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		err  error
		want fault.Code
	}{
		"ring 1":    {got.AdmitRing(1), ErrRing},
		"unknown":   {got.AdmitModule(5), ErrModuleKind},
		"pinning":   {got.AdmitCap(3), ErrCapKind},
		"landlock":  {got.AdmitSandbox(SandboxLandlock), ErrSandbox},
		"other one": {(&Policy{Ring: 1}).AdmitRing(0), ErrRing},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: got %v, want %s", name, c.err, c.want)
		}
	}
}

func TestEveryBit(t *testing.T) {
	raw, err := Sign(Default(5), key(1))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			if _, err := Open(raw); fault.CodeOf(err) == "" {
				t.Fatalf("byte %d bit %d: accepted, or no code: %v", i, bit, err)
			}
			raw[i] ^= 1 << bit
		}
	}
}

func TestBudget(t *testing.T) {
	p := Default(0)
	p.MaxBudget.DeadlineMicros = ref(uint64(9))
	p.MaxBudget.Tokens = ref(uint64(7))
	most := ir.Budget{CPUMicros: 10_000_000, IOCount: 1000, StateWrites: 100, MaxDepth: ref(uint16(256)), DeadlineMicros: ref(uint64(9)), Tokens: ref(uint64(7)), MaxSpawn: ref(uint16(65535))}
	if err := p.AdmitBudget(most); err != nil {
		t.Error(err)
	}
	if err := p.AdmitBudget(ir.Budget{DeadlineMicros: ref(uint64(1))}); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*ir.Budget){
		"cpu":         func(b *ir.Budget) { b.CPUMicros++ },
		"io":          func(b *ir.Budget) { b.IOCount++ },
		"writes":      func(b *ir.Budget) { b.StateWrites++ },
		"depth":       func(b *ir.Budget) { b.MaxDepth = ref(uint16(257)) },
		"deadline":    func(b *ir.Budget) { b.DeadlineMicros = ref(uint64(10)) },
		"no deadline": func(b *ir.Budget) { b.DeadlineMicros = nil },
		"tokens":      func(b *ir.Budget) { b.Tokens = ref(uint64(8)) },
	} {
		b := most
		change(&b)
		if err := p.AdmitBudget(b); !errors.Is(err, ErrBudget) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.MaxBudget.MaxDepth = ref(uint16(63))
	if err := p.AdmitBudget(ir.Budget{DeadlineMicros: ref(uint64(1))}); !errors.Is(err, ErrBudget) {
		t.Errorf("an absent max_depth is 64, and 63 are allowed: %v", err)
	}
	p.MaxBudget.MaxDepth = nil
	if err := p.AdmitBudget(ir.Budget{DeadlineMicros: ref(uint64(1)), MaxDepth: ref(uint16(1025))}); !errors.Is(err, ErrBudget) {
		t.Errorf("a policy without max_depth allows 1,024: %v", err)
	}
}

func TestValidate(t *testing.T) {
	agents := []sig.AgentID{key(1).Agent(), key(2).Agent(), key(1).Agent()}
	for name, change := range map[string]func(*Policy){
		"module kind 0":    func(p *Policy) { p.ModuleKinds = []uint8{0} },
		"module kind 5":    func(p *Policy) { p.ModuleKinds = []uint8{5} },
		"module order":     func(p *Policy) { p.ModuleKinds = []uint8{2, 1} },
		"module twice":     func(p *Policy) { p.ModuleKinds = []uint8{1, 1} },
		"cap kind 0":       func(p *Policy) { p.CapKinds = []uint8{0, 1} },
		"cap order":        func(p *Policy) { p.CapKinds = []uint8{5, 1} },
		"sandbox":          func(p *Policy) { p.MinSandbox = 5 },
		"claim order":      func(p *Policy) { p.Claims = []Claim{{2, 0, 1, agents}, {1, 0, 1, agents}} },
		"claim twice":      func(p *Policy) { p.Claims = []Claim{{1, 0, 1, agents}, {1, 0, 1, agents}} },
		"quorum 0":         func(p *Policy) { p.Claims = []Claim{{1, 0, 0, agents}} },
		"quorum one twice": func(p *Policy) { p.Claims = []Claim{{1, 0, 3, agents}} },
	} {
		p := Default(0)
		change(p)
		if _, err := Sign(p, key(1)); !errors.Is(err, ErrPolicy) {
			t.Errorf("%s: %v", name, err)
		}
		raw, _, err := sig.Sign(p, key(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(raw); !errors.Is(err, ErrPolicy) {
			t.Errorf("%s, signed: %v", name, err)
		}
	}
}

func TestMonotonic(t *testing.T) {
	low := func() *Policy {
		return &Policy{Ring: 0, Version: 3, MinSandbox: 2, NeedsPromotion: true, Claims: []Claim{{1, 5, 2, []sig.AgentID{key(1).Agent(), key(2).Agent(), key(3).Agent()}}}}
	}
	high := func(change func(*Policy)) *Policy {
		p := low()
		p.Ring, p.Version = 1, 1
		change(p)
		return p
	}
	if err := CheckMonotonic([]*Policy{high(func(p *Policy) { p.Claims[0].Verifiers = p.Claims[0].Verifiers[:2]; p.Claims[0].Quorum = 2 }), low()}); err != nil {
		t.Error(err)
	}
	// An old version that demands less does not count.
	if err := CheckMonotonic([]*Policy{low(), high(func(*Policy) {}), {Ring: 1, Version: 0}}); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Policy){
		"promotion": func(p *Policy) { p.NeedsPromotion = false },
		"sandbox":   func(p *Policy) { p.MinSandbox = 1 },
		"no claim":  func(p *Policy) { p.Claims = nil },
		"result":    func(p *Policy) { p.Claims[0].MinResult = 4 },
		"quorum":    func(p *Policy) { p.Claims[0].Quorum = 1 },
		"verifiers": func(p *Policy) { p.Claims[0].Verifiers = append(p.Claims[0].Verifiers, key(4).Agent()) },
	} {
		if err := CheckMonotonic([]*Policy{low(), high(change)}); !errors.Is(err, ErrNotMonotonic) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	raw, err := Sign(Default(5), key(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var x Policy
		r := can.NewReader(raw)
		if x.ReadCAN(&r); r.Done() == nil { // past the signature
			for _, err := range []error{x.Validate(), x.AdmitRing(0), x.AdmitBudget(x.MaxBudget), CheckMonotonic([]*Policy{&x, Default(0)})} {
				if err != nil && fault.CodeOf(err) == "" {
					t.Fatalf("no code: %v", err)
				}
			}
		}
		p, err := Open(raw)
		if (p == nil) && err == nil || err != nil && fault.CodeOf(err) == "" {
			t.Fatalf("got %v, %v", p, err)
		}
	})
}
