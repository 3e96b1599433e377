package receipt

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

var key = sig.NewKey([32]byte(bytes.Repeat([]byte{1}, 32)), "ctvp")

// v02 is the receipt that the v0.2 documents were published with, signed with
// the TEST-ONLY key of 32 bytes of 01 and the hint "ctvp".
func v02(t testing.TB) (Receipt, []byte) {
	t.Helper()
	x := Receipt{
		ToolID:         hash(t, "d5762d1026d1cfab5015b4821a0aa1f8d3ae1dea85084b3122ea63a7a4244458"),
		RequestHash:    hash(t, "758d61f26a44448384e5c4468a0dcb7a2abe456067b0f7b505bc28b9411fe931"),
		ResponseHash:   hash(t, "9795c5ff8937f23526ccb207a5684c1fc94a7854e19c021b39d944e51f5baef2"),
		IdempotencyKey: []byte("idem:001"), TimeObserved: 1_700_000_000_000_000, Status: 200,
	}
	raw, _, err := sig.Sign(&x, key)
	if err != nil {
		t.Fatal(err)
	}
	return x, raw
}

func hash(t testing.TB, digits string) cid.Hash {
	t.Helper()
	h, err := cid.Parse("sha256:" + digits)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestPublishedReceipt(t *testing.T) {
	x, raw := v02(t)
	if got := cid.Sum(raw).Hex(); len(raw) != 334 || got != "afc385552bc03e0301964f35e5aac58a4e5f3d0e3aee454acc84a861c52512c5" {
		t.Errorf("%d bytes, SHA-256 %s", len(raw), got)
	}
	if got := x.ReceiptID.Hex(); got != "0edba8b8f9547e0977cec96eb37d0e117e0c2718e7d69737ef17e8f1d9ce32cd" {
		t.Errorf("receipt_id %s", got)
	}
	if got := hex.EncodeToString(x.Signature.SigBytes[:8]); got != "88dc195d4383bd40" {
		t.Errorf("signature %s...", got)
	}
	back, id, err := Open(raw)
	if err != nil || id != x.ReceiptID || !bytes.Equal(back.AppendCAN(nil), raw) {
		t.Errorf("opened as %s, %v", id, err)
	}
}

func TestDecodeIsNotOpen(t *testing.T) {
	x, _ := v02(t)
	x.Signature.SigBytes[0] ^= 1
	raw := x.AppendCAN(nil)
	if _, id, err := Decode(raw); err != nil || id != x.ReceiptID {
		t.Errorf("Decode: %s, %v", id, err)
	}
	if _, _, err := Open(raw); fault.CodeOf(err) != sig.ErrInvalid {
		t.Errorf("Open: %v", err)
	}
	if _, _, err := Open(raw[:3]); fault.CodeOf(err) != can.ErrBounds {
		t.Errorf("Open of a piece: %v", err)
	}
}

func TestCheckContent(t *testing.T) {
	x := Receipt{RequestHash: cid.Sum([]byte("q")), ResponseHash: cid.Sum([]byte("a"))}
	if err := x.CheckContent([]byte("q"), []byte("a")); err != nil {
		t.Error(err)
	}
	for _, c := range [][2]string{{"Q", "a"}, {"q", "A"}, {"a", "q"}, {"", ""}} {
		if err := x.CheckContent([]byte(c[0]), []byte(c[1])); fault.CodeOf(err) != ErrContent {
			t.Errorf("%q: %v", c, err)
		}
	}
}

func TestAttestations(t *testing.T) {
	for _, c := range []struct {
		claim  uint8
		result uint16
		code   fault.Code
	}{
		{ContractPass, 1, ""},
		{EvalPass, 0, ""},
		{EvalMetric, MaxMetric, ""},
		{QuorumSignoff, 1, ""},
		{0, 1, ErrClaim},
		{5, 1, ErrClaim},
		{ContractPass, 2, ErrClaim},
		{QuorumSignoff, 10000, ErrClaim},
		{EvalMetric, MaxMetric + 1, ErrClaim},
	} {
		x := Attestation{ClaimType: c.claim, Result: c.result, Notes: "n"}
		raw, want, err := sig.Sign(&x, key)
		if err != nil {
			t.Fatal(err)
		}
		for name, open := range map[string]func([]byte) (Attestation, cid.Hash, error){"Open": OpenAttestation, "Decode": DecodeAttestation} {
			if _, id, err := open(raw); fault.CodeOf(err) != c.code || id != want {
				t.Errorf("%s: claim %d, result %d: %s, %v; want %q", name, c.claim, c.result, id, err, c.code)
			}
		}
	}
	x := Attestation{ClaimType: 1}
	if _, _, err := OpenAttestation(x.AppendCAN(nil)); fault.CodeOf(err) != sig.ErrID {
		t.Errorf("unsigned: %v", err)
	}
	if _, _, err := DecodeAttestation(x.AppendCAN(nil)); fault.CodeOf(err) != sig.ErrID {
		t.Errorf("unsigned: %v", err)
	}
}

// FuzzReceipt: bytes that open are the signer's to the bit, unknown fields
// included, and decoding never changes them.
func FuzzReceipt(f *testing.F) {
	_, raw := v02(f)
	f.Add(raw)
	f.Add(raw[:100])
	f.Add([]byte{8, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		x, id, err := Decode(in)
		if !bytes.Equal(in, before) {
			t.Fatal("decoding changes the input")
		}
		if err != nil {
			return
		}
		if again, _ := cid.Without(in, 1, 11); again != id || x.ReceiptID != id {
			t.Fatalf("id %s, field %s, recomputed %s", id, x.ReceiptID, again)
		}
		if _, opened, err := Open(in); err == nil && x.Signer.Equal(key.Agent()) && opened != mustID(t, raw) {
			t.Fatalf("a forged receipt: %x", in)
		}
	})
}

func mustID(t *testing.T, raw []byte) cid.Hash {
	t.Helper()
	_, id, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// FuzzAttestation: what decodes has the id of its bytes and a claim that
// exists.
func FuzzAttestation(f *testing.F) {
	x := Attestation{ClaimType: EvalMetric, Result: 7}
	raw, _, err := sig.Sign(&x, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, in []byte) {
		x, id, err := DecodeAttestation(in)
		if err != nil {
			return
		}
		if again, _ := cid.Without(in, 1, 8); again != id || x.ClaimType < 1 || x.ClaimType > 4 {
			t.Fatalf("%+v with id %s, recomputed %s", x, id, again)
		}
	})
}
