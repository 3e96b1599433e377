package evidence

import (
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

var (
	key  = sig.NewKey([32]byte{3}, "executor")
	a, b = cid.Sum([]byte("a")), cid.Sum([]byte("b"))
)

func effect() EffectEvidence {
	schedule, used := uint16(1), uint64(7)
	return EffectEvidence{Module: &a, ModuleKind: 1, Variant: "v", Engine: "wazero/1", FuelSchedule: &schedule, FuelUsed: &used}
}

func TestEffect(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*EffectEvidence)
		code   fault.Code
	}{
		"whole":             {func(*EffectEvidence) {}, ""},
		"not metered":       {func(x *EffectEvidence) { x.FuelSchedule, x.FuelUsed = nil, nil }, ""},
		"built in":          {func(x *EffectEvidence) { x.Module, x.ModuleKind, x.Variant = nil, 0, "" }, ""},
		"no module":         {func(x *EffectEvidence) { x.Module = nil }, ErrEffect},
		"built in, module":  {func(x *EffectEvidence) { x.ModuleKind, x.Variant = 0, "" }, ErrEffect},
		"built in, variant": {func(x *EffectEvidence) { x.Module, x.ModuleKind = nil, 0 }, ErrEffect},
		"no engine":         {func(x *EffectEvidence) { x.Engine = "" }, ErrEffect},
		"fuel, no schedule": {func(x *EffectEvidence) { x.FuelSchedule = nil }, ErrEffect},
		"schedule, no fuel": {func(x *EffectEvidence) { x.FuelUsed = nil }, ErrEffect},
	} {
		x := effect()
		c.change(&x)
		got, err := DecodeEffect(x.AppendCAN(nil))
		if fault.CodeOf(err) != c.code || string(got.AppendCAN(nil)) != string(x.AppendCAN(nil)) {
			t.Errorf("%s: got %v, want %q", name, err, c.code)
		}
	}
	if _, err := DecodeEffect([]byte{8, 0}); fault.CodeOf(err) != can.ErrMissing {
		t.Errorf("got %v", err)
	}
}

func TestRecord(t *testing.T) {
	for id, code := range map[string]fault.Code{
		"run-1": "", "A.z_9:-": "", strings.Repeat("r", 128): "",
		"": ledger.ErrRunID, strings.Repeat("r", 129): ledger.ErrRunID, "a b": ledger.ErrRunID, "a/b": ledger.ErrRunID, "ä": ledger.ErrRunID,
	} {
		x := RunRecord{RunID: id}
		raw, want, err := sig.Sign(&x, key)
		if err != nil {
			t.Fatal(err)
		}
		if got, id, err := OpenRecord(raw); fault.CodeOf(err) != code || id != want || got.RunID != x.RunID {
			t.Errorf("%q: %v, want %q", x.RunID, err, code)
		}
	}
	x := RunRecord{RunID: "r"}
	raw, _, err := sig.Sign(&x, key)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	if _, _, err := OpenRecord(raw); fault.CodeOf(err) != sig.ErrInvalid {
		t.Errorf("got %v", err)
	}
}

func seal(ids ...cid.Hash) RunSeal {
	return RunSeal{ReceiptCount: uint64(len(ids)), ReceiptsRoot: merkle.Root(ids), ResultHash: &a}
}

func TestSeal(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*RunSeal)
		code   fault.Code
	}{
		"result":           {func(*RunSeal) {}, ""},
		"error":            {func(x *RunSeal) { x.ResultHash, x.ErrorCode = nil, "type_mismatch" }, ""},
		"no receipts":      {func(x *RunSeal) { x.ReceiptsRoot, x.ReceiptCount = nil, 0 }, ""},
		"neither":          {func(x *RunSeal) { x.ResultHash = nil }, ErrSeal},
		"both":             {func(x *RunSeal) { x.ErrorCode = "type_mismatch" }, ErrSeal},
		"count, no root":   {func(x *RunSeal) { x.ReceiptsRoot = nil }, ErrSeal},
		"root, no count":   {func(x *RunSeal) { x.ReceiptCount = 0 }, ErrSeal},
		"no code":          {func(x *RunSeal) { x.ResultHash, x.ErrorCode = nil, "Type mismatch" }, ErrSeal},
		"code with escape": {func(x *RunSeal) { x.ResultHash, x.ErrorCode = nil, "a\x1b[1m" }, ErrSeal},
		"long code":        {func(x *RunSeal) { x.ResultHash, x.ErrorCode = nil, strings.Repeat("a", 129) }, ErrSeal},
	} {
		x := seal(a, b)
		c.change(&x)
		raw, want, err := sig.Sign(&x, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, id, err := OpenSeal(raw); fault.CodeOf(err) != c.code || id != want {
			t.Errorf("%s: got %v, want %q", name, err, c.code)
		}
	}
	x := seal()
	if _, _, err := OpenSeal(x.AppendCAN(nil)); fault.CodeOf(err) != sig.ErrID {
		t.Errorf("unsigned: %v", err)
	}
}

func TestCheckReceipts(t *testing.T) {
	for name, c := range map[string]struct {
		seal RunSeal
		ids  []cid.Hash
		code fault.Code
	}{
		"none":        {seal(), nil, ""},
		"both":        {seal(a, b), []cid.Hash{a, b}, ""},
		"order":       {seal(a, b), []cid.Hash{b, a}, ErrReceipts},
		"one dropped": {seal(a, b), []cid.Hash{a}, ErrReceipts},
		"one more":    {seal(a), []cid.Hash{a, b}, ErrReceipts},
		"another":     {seal(a), []cid.Hash{b}, ErrReceipts},
		"all dropped": {seal(a), nil, ErrReceipts},
		"no root":     {RunSeal{ReceiptCount: 1}, []cid.Hash{a}, ErrReceipts},
		"a root":      {RunSeal{ReceiptsRoot: &a}, nil, ErrReceipts},
	} {
		if err := c.seal.CheckReceipts(c.ids); fault.CodeOf(err) != c.code {
			t.Errorf("%s: got %v, want %q", name, err, c.code)
		}
	}
}

// FuzzEvidence: no bytes make a decoder panic, and what opens keeps the rules.
func FuzzEvidence(f *testing.F) {
	e, s, r := effect(), seal(a), RunRecord{RunID: "r", Variants: map[string]string{"t": "v"}}
	f.Add(e.AppendCAN(nil))
	for _, x := range []sig.Object{&s, &r} {
		raw, _, err := sig.Sign(x, key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if x, err := DecodeEffect(in); err == nil && (x.Module == nil) != (x.ModuleKind == 0) {
			t.Fatalf("%+v", x)
		}
		if x, _, err := OpenSeal(in); err == nil && (x.ResultHash == nil) == (x.ErrorCode == "") {
			t.Fatalf("%+v", x)
		}
		if x, _, err := OpenRecord(in); err == nil && string(x.AppendCAN(nil)) != string(in) {
			t.Fatalf("closed, yet %x comes back as %x", in, x.AppendCAN(nil))
		}
	})
}
