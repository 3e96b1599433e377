package view

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/codebook"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

var (
	testKey = sig.NewKey([32]byte{1}, "view")
	a, b    = cid.Sum([]byte("a")), cid.Sum([]byte("b"))
)

func signed(t *testing.T, x sig.Object) []byte {
	t.Helper()
	raw, _, err := sig.Sign(x, testKey)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func wantJSON(t *testing.T, name string, raw []byte, want string) {
	t.Helper()
	got, err := JSON(name, raw)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("%s: %s", name, d)
	}
}

func TestHashAndAgent(t *testing.T) {
	wantJSON(t, "Hash", a.AppendCAN(nil), `"`+a.String()+`"`)
	agent := sig.AgentID{Scheme: 1, Key: a, Hint: "x\u202ey"}
	wantJSON(t, "AgentID", agent.AppendCAN(nil), `{"scheme":1,"key":"`+a.Hex()+`","hint":"x\u202ey"}`)
}

func TestNumbersAndTimes(t *testing.T) {
	budget := ir.Budget{CPUMicros: math.MaxUint64, IOCount: math.MaxUint32, StateWrites: 0}
	wantJSON(t, "Budget", budget.AppendCAN(nil), `{"cpu_us":"18446744073709551615","io_count":4294967295,"state_writes":0}`)
	least := int64(math.MinInt64)
	wantJSON(t, "Const", (&ir.Const{Kind: 1, I64: &least}).AppendCAN(nil), `{"kind":1,"i64":"-9223372036854775808"}`)
	for micros, want := range map[int64]string{
		0:                       "1970-01-01T00:00:00.000000Z",
		-1:                      "1969-12-31T23:59:59.999999Z",
		1_767_225_600_000_000:   "2026-01-01T00:00:00.000000Z",
		253_402_300_799_999_999: "9999-12-31T23:59:59.999999Z",
		253_402_300_800_000_000: "253402300800000000",
		-62_167_219_200_000_000: "0000-01-01T00:00:00.000000Z",
		-62_167_219_200_000_001: "-62167219200000001",
		math.MaxInt64:           "9223372036854775807",
		math.MinInt64:           "-9223372036854775808",
	} {
		if got := Time(micros); got != want {
			t.Errorf("Time(%d) = %s, want %s", micros, got, want)
		}
	}
}

func TestMaps(t *testing.T) {
	scope := caps.ToolCall{ToolID: a, MaxCalls: 2, Constraints: map[string]string{"bb": "2", "c": "1"}}
	wantJSON(t, "ToolCallScope", scope.AppendCAN(nil), `{"tool_id":"`+a.String()+`","max_calls":2,"constraints":{"c":"1","bb":"2"}}`)
	u := uint64(7)
	node := ir.Node{TypeID: a, Kind: 1, Fields: map[uint32]ir.Operand{256: {Kind: 4, U64: &u}, 129: {Kind: 1}}}
	wantJSON(t, "Node", node.AppendCAN(nil), `{"type_id":"`+a.String()+`","kind":1,"fields":{"256":{"kind":4,"u64":"7"},"129":{"kind":1}}}`)
}

func TestNestedViews(t *testing.T) {
	scope := caps.ScopeOf(&caps.BlobDelete{CID: a})

	wantJSON(t, "CapScope", scope.AppendCAN(nil), `{"kind":4,"payload":"`+hexText(scope.Payload)+`","payload_view":{"cid":"`+a.String()+`"}}`)
	scope.Kind = 99
	wantJSON(t, "CapScope", scope.AppendCAN(nil), `{"kind":99,"payload":"`+hexText(scope.Payload)+`"}`)
	scope.Kind = caps.KindToolCall
	wantJSON(t, "CapScope", scope.AppendCAN(nil), `{"kind":5,"payload":"`+hexText(scope.Payload)+`"}`)

	req := abi.Request{ToolID: a, Payload: can.AppendText(nil, "hi"), IdemID: b}
	wantJSON(t, "ToolRequest", req.AppendCAN(nil), `{"schema":"mythos.tool.request","tool_id":"`+a.String()+
		`","payload":"06026869","payload_view":"hi","idem_id":"`+b.String()+`"}`)

	entry := ledger.Entry{Index: 3, Kind: uint8(ledger.KindDivergence), Body: signed(t, &ledger.Divergence{ReasonCode: 1})}
	text, err := JSON("LedgerEntry", entry.AppendCAN(nil))
	if err != nil || !strings.Contains(string(text), `"body_view":{"idem_id":"sha256:00`) || !strings.Contains(string(text), `"reason_code":1`) {
		t.Errorf("LedgerEntry: %s, %v", text, err)
	}

	leaf := merkle.ListLeaf{Values: []cid.Hash{a}}
	node := merkle.Node{Version: 1, Kind: merkle.KindListLeaf, Payload: leaf.AppendCAN(nil)}
	nodeView := `{"version":1,"kind":1,"payload":"` + hexText(node.Payload) + `","payload_view":{"values":["` + a.String() + `"]}}`
	wantJSON(t, "MerkleNode", node.AppendCAN(nil), nodeView)
	proof := merkle.RangeProof{First: 1, Count: 1, Nodes: [][]byte{node.AppendCAN(nil)}}
	wantJSON(t, "MerkleRangeProof", proof.AppendCAN(nil), `{"schema":"mythos.merkle.range","first":"1","count":"1","nodes":["`+
		hexText(node.AppendCAN(nil))+`"],"nodes_view":[`+nodeView+`]}`)
}

func hexText(b []byte) string {
	const digits = "0123456789abcdef"
	var s []byte
	for _, c := range b {
		s = append(s, digits[c>>4], digits[c&15])
	}
	return string(s)
}

func TestReceiptView(t *testing.T) {
	key := ledger.IdempotencyKey{Authority: a, Key: []byte("k"), Holder: b, Origin: 1}
	x := receipt.Receipt{ToolID: a, RequestHash: a, ResponseHash: b, IdempotencyKey: key.AppendCAN(nil), TimeObserved: 1, Status: 200}
	raw := signed(t, &x)
	wantJSON(t, "Receipt", raw, `{"receipt_id":"`+x.ReceiptID.String()+`","tool_id":"`+a.String()+`","request_hash":"`+a.String()+
		`","response_hash":"`+b.String()+`","idempotency_key":"`+hexText(x.IdempotencyKey)+
		`","idempotency_key_view":{"authority":"`+a.String()+`","key":"6b","holder":"`+b.String()+`","origin":1}`+
		`,"signer":{"scheme":1,"key":"`+hexText(x.Signer.Key[:])+`","hint":"view"},"time_observed":"1970-01-01T00:00:00.000001Z","status":200`+
		`,"signature":{"alg":1,"sig_bytes":"`+hexText(x.Signature.SigBytes[:])+`"}}`)
	if id, ok, err := ID("Receipt", raw); id != x.ReceiptID || !ok || err != nil {
		t.Errorf("ID = %s, %t, %v; want %s", id, ok, err, x.ReceiptID)
	}
	if _, ok, err := ID("Budget", raw); ok || err != nil {
		t.Errorf("a Budget has an id: %v", err)
	}
}

func TestJSONRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		name string
		raw  []byte
		code fault.Code
	}{
		"no struct":     {"Nothing", []byte{8, 0}, ErrStruct},
		"trailing":      {"ClockScope", []byte{8, 0, 0}, can.ErrTrailing},
		"closed":        {"ClockScope", []byte{8, 1, 3, 1, 0}, can.ErrUnknownField},
		"another type":  {"Codebook", []byte{8, 0}, can.ErrType},
		"no bytes":      {"CapProof", []byte{7, 1, 0}, can.ErrType},
		"nothing there": {"Receipt", nil, can.ErrTruncated},
	} {
		if text, err := JSON(c.name, c.raw); fault.CodeOf(err) != c.code || text != nil {
			t.Errorf("%s: %s, %v; want %s", name, text, err, c.code)
		}
	}
}

func TestIdentify(t *testing.T) {
	cap1 := caps.Capability{Subject: testKey.Agent(), Scope: caps.ScopeOf(&caps.BlobDelete{CID: a})}
	register := ledger.Register{IdemID: a, ToolID: b}
	commit := ledger.Commit{IdemID: a, ToolID: b}
	badID := receipt.Receipt{ToolID: a, Status: 200}
	signed(t, &badID)
	badID.Status++
	newer := signed(t, &receipt.Attestation{ClaimType: 1})
	leaf := merkle.ListLeaf{Values: []cid.Hash{a}}
	node := merkle.Node{Version: 1, Kind: merkle.KindListLeaf, Payload: leaf.AppendCAN(nil)}
	strange := merkle.Node{Version: 1, Kind: 9, Payload: []byte("x")}
	ref := blob.FlatRef([]byte("x"), "text/plain", 0)
	bundle := ir.Bundle{}
	tree := (&abi.Request{}).AppendCAN(nil)
	for name, c := range map[string]struct {
		raw  []byte
		want []string
	}{
		"receipt":          {signed(t, &receipt.Receipt{Status: 200}), []string{"Receipt"}},
		"attestation":      {newer, []string{"Attestation"}},
		"capability":       {signed(t, &cap1), []string{"Capability"}},
		"register":         {signed(t, &register), []string{"EffectRegister"}},
		"commit":           {signed(t, &commit), []string{"EffectCommit"}},
		"mark":             {signed(t, &ledger.Divergence{ReasonCode: 1}), []string{"DivergenceMark"}},
		"bundle":           {bundle.AppendCAN(nil), []string{"IRBundle"}},
		"node":             {node.AppendCAN(nil), []string{"MerkleNode"}},
		"no node":          {strange.AppendCAN(nil), nil},
		"codebook":         {codebook.Encode(codebook.Baseline()), []string{"Codebook"}},
		"proof":            {caps.EncodeProof([][]byte{signed(t, &cap1)}), []string{"CapProof"}},
		"no proof":         {caps.EncodeProof([][]byte{{0}}), nil},
		"ref":              {ref.AppendCAN(nil), []string{"BlobRef"}},
		"hash":             {a.AppendCAN(nil), []string{"Hash", "AgentID"}},
		"by schema":        {tree, []string{"ToolRequest"}},
		"schema decides":   {can.AppendText([]byte("\x08\x01\x03\x01"), "mythos.tool.request"), []string{"ToolRequest"}},
		"schema elsewhere": {can.AppendText([]byte("\x08\x01\x03\x03"), "mythos.tool.request"), nil},
		"wrong id":         {badID.AppendCAN(nil), []string{"Receipt"}},
		"empty list":       {[]byte{7, 0}, []string{"Codebook", "CapProof", "ManifestSignatures", "SigBlock"}},
		"a number":         {[]byte{3, 1}, nil},
		"not canonical":    {[]byte{8, 0, 0}, nil},
		"nothing":          {nil, nil},
	} {
		if got := Identify(c.raw); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range Names() {
		if text, err := JSON(name, []byte{0}); err == nil || fault.CodeOf(err) == ErrStruct {
			t.Errorf("%s: NULL gives %s, %v", name, text, err)
		}
	}
	if len(Names()) != len(codecs())+5 {
		t.Errorf("%d names for %d structs", len(Names()), len(codecs()))
	}
}
