package sig_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

var (
	alice = sig.NewKey([32]byte(bytes.Repeat([]byte{0x2a}, 32)), "")
	bob   = sig.NewKey([32]byte{2}, "bob")
)

// TestWorkedExample is the Attestation of RFC-MYTHOS-0001 §3.2.
func TestWorkedExample(t *testing.T) {
	x := receipt.Attestation{SubjectHash: cid.Sum([]byte("subject")), ClaimType: 2, Result: 1, TimeObserved: 1_767_225_600_000_000}
	raw, id, err := sig.Sign(&x, alice)
	if err != nil || len(raw) != 229 || id.Hex() != "0ca7b43e159e586a23b96ab064511c44ea83ceb05c55740343494d1ee45a5360" {
		t.Errorf("%d bytes, id %s, %v", len(raw), id, err)
	}
	if got := alice.Agent().KeyID().Hex(); got != "cbdb67b8a85f8b5c60f45a5aa8ff8a96ef71b792faf86576a60453920fe999ed" {
		t.Errorf("key id %s", got)
	}
	var back receipt.Attestation
	if got, err := sig.Open(raw, &back); got != id || err != nil || back.AttestationID != id {
		t.Errorf("opened as %s, %v", got, err)
	}
}

func TestAgents(t *testing.T) {
	a, hinted := alice.Agent(), alice.Agent()
	hinted.Hint = "alice"
	if !a.Equal(hinted) || a.KeyID() != hinted.KeyID() || a.Equal(bob.Agent()) || a.KeyID() == bob.Agent().KeyID() {
		t.Error("an agent is its scheme and key, whatever its hint")
	}
	hinted.Scheme = 2
	if a.Equal(hinted) || a.KeyID() == hinted.KeyID() {
		t.Error("another scheme is another agent")
	}
}

// TestKeysDoNotPrint: no verb shows the secret, nor does a struct around it.
func TestKeysDoNotPrint(t *testing.T) {
	want := "key " + alice.Agent().KeyID().String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		if got := fmt.Sprintf(verb, alice); got != want {
			t.Errorf("%s: %s", verb, got)
		}
		if got := fmt.Sprintf(verb, struct{ K sig.Key }{alice}); strings.Contains(strings.ToLower(got), "2a2a") || strings.Contains(got, "42 42") {
			t.Errorf("%s in a struct: %s", verb, got)
		}
	}
}

func TestVerify(t *testing.T) {
	id := cid.Sum([]byte("x"))
	bytes64, err := alice.Sign(id)
	if err != nil {
		t.Fatal(err)
	}
	good := sig.Signature{Alg: sig.Ed25519, SigBytes: bytes64}
	agent := alice.Agent()
	if err := agent.Verify(id, good); err != nil {
		t.Error(err)
	}
	otherAlg, otherScheme, flipped := good, agent, good
	otherAlg.Alg, otherScheme.Scheme = 2, 2
	flipped.SigBytes[0] ^= 1
	for name, c := range map[string]struct {
		by   sig.AgentID
		id   cid.Hash
		s    sig.Signature
		code fault.Code
	}{
		"algorithm":  {agent, id, otherAlg, sig.ErrAlg},
		"scheme":     {otherScheme, id, good, sig.ErrAlg},
		"another id": {agent, cid.Sum(nil), good, sig.ErrInvalid},
		"bit":        {agent, id, flipped, sig.ErrInvalid},
		"key":        {bob.Agent(), id, good, sig.ErrInvalid},
		"empty":      {agent, id, sig.Signature{Alg: 1}, sig.ErrInvalid},
	} {
		if err := c.by.Verify(c.id, c.s); fault.CodeOf(err) != c.code {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
	if _, err := (sig.Key{}).Sign(id); !errors.Is(err, sig.ErrAlg) {
		t.Errorf("the zero key: %v", err)
	}
	if _, _, err := sig.Sign(&receipt.Receipt{}, sig.Key{}); !errors.Is(err, sig.ErrAlg) {
		t.Errorf("the zero key: %v", err)
	}
}

func sampleReceipt() *receipt.Receipt {
	return &receipt.Receipt{
		ToolID: cid.Sum([]byte("tool")), RequestHash: cid.Sum([]byte("request")), ResponseHash: cid.Sum([]byte("response")),
		IdempotencyKey: []byte("key"), TimeObserved: 1, Status: 200, Notes: "n",
	}
}

// rewrite returns x's bytes after change, without signing again.
func rewrite(t *testing.T, x *receipt.Receipt, change func(*receipt.Receipt)) []byte {
	t.Helper()
	change(x)
	return x.AppendCAN(nil)
}

func TestOpenRefuses(t *testing.T) {
	fresh := func() *receipt.Receipt {
		x := sampleReceipt()
		if _, _, err := sig.Sign(x, alice); err != nil {
			t.Fatal(err)
		}
		return x
	}
	keyID := alice.Agent().KeyID()
	for name, c := range map[string]struct {
		raw            []byte
		decode, opened fault.Code
	}{
		"whole":          {rewrite(t, fresh(), func(*receipt.Receipt) {}), "", ""},
		"truncated":      {rewrite(t, fresh(), func(*receipt.Receipt) {})[:50], can.ErrBounds, can.ErrBounds},
		"trailing":       {append(rewrite(t, fresh(), func(*receipt.Receipt) {}), 0), can.ErrTrailing, can.ErrTrailing},
		"content":        {rewrite(t, fresh(), func(x *receipt.Receipt) { x.Status++ }), sig.ErrID, sig.ErrID},
		"id":             {rewrite(t, fresh(), func(x *receipt.Receipt) { x.ReceiptID[0]++ }), sig.ErrID, sig.ErrID},
		"signer":         {rewrite(t, fresh(), func(x *receipt.Receipt) { x.Signer = bob.Agent() }), sig.ErrID, sig.ErrID},
		"hint":           {rewrite(t, fresh(), func(x *receipt.Receipt) { x.Signer.Hint = "h" }), sig.ErrID, sig.ErrID},
		"key id":         {rewrite(t, fresh(), func(x *receipt.Receipt) { x.Signature.KeyID = &keyID }), sig.ErrKeyID, sig.ErrKeyID},
		"algorithm":      {rewrite(t, fresh(), func(x *receipt.Receipt) { x.Signature.Alg = 2 }), "", sig.ErrAlg},
		"signature":      {rewrite(t, fresh(), func(x *receipt.Receipt) { x.Signature.SigBytes[7] ^= 1 }), "", sig.ErrInvalid},
		"zero signature": {rewrite(t, fresh(), func(x *receipt.Receipt) { x.Signature.SigBytes = [64]byte{} }), "", sig.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := sig.Decode(c.raw, new(receipt.Receipt)); fault.CodeOf(err) != c.decode {
				t.Errorf("Decode: got %v, want %q", err, c.decode)
			}
			if _, err := sig.Open(c.raw, new(receipt.Receipt)); fault.CodeOf(err) != c.opened {
				t.Errorf("Open: got %v, want %q", err, c.opened)
			}
		})
	}
}

// TestKeyIDs: objects without a signer carry a key_id, except commits that
// earlier writers made (RFC-MYTHOS-0001 §4).
func TestKeyIDs(t *testing.T) {
	mark, commit := &ledger.Divergence{ReasonCode: 1}, &ledger.Commit{Status: 200}
	for _, x := range []interface {
		sig.Object
	}{mark, commit} {
		raw, id, err := sig.Sign(x, alice)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := sig.OpenBy(raw, x, alice.Agent()); got != id || err != nil {
			t.Errorf("%T: %s, %v", x, got, err)
		}
		if _, err := sig.OpenBy(raw, x, bob.Agent()); !errors.Is(err, sig.ErrKeyID) {
			t.Errorf("%T by another: %v", x, err)
		}
		if _, err := sig.Open(raw, x); !errors.Is(err, sig.ErrKeyID) {
			t.Errorf("%T names no signer: %v", x, err)
		}
		bobs := bob.Agent().KeyID()
		x.Seal().Signature.KeyID = &bobs
		if _, err := sig.OpenBy(x.AppendCAN(nil), x, bob.Agent()); !errors.Is(err, sig.ErrInvalid) {
			t.Errorf("%T with bob's key id: %v", x, err)
		}
		x.Seal().Signature.KeyID = nil
		bare := x.AppendCAN(nil)
		_, err = sig.Decode(bare, x)
		if keyless := x == sig.Object(commit); keyless != (err == nil) || !keyless && !errors.Is(err, sig.ErrKeyID) {
			t.Errorf("%T without a key id: %v", x, err)
		}
		if _, err := sig.OpenBy(bare, x, alice.Agent()); !errors.Is(err, sig.ErrKeyID) {
			t.Errorf("%T without a key id, opened: %v", x, err)
		}
	}
}

// TestUnknownFieldsAreCovered: a newer writer's fields survive and stay under
// the signature, and no single bit of the message can change.
func TestUnknownFieldsAreCovered(t *testing.T) {
	x := sampleReceipt()
	if _, _, err := sig.Sign(x, alice); err != nil {
		t.Fatal(err)
	}
	raw := x.AppendCAN(nil)
	last := bytes.LastIndex(raw, []byte("\x03\x0b\x08"))
	newer := append(bytes.Clone(raw[:last]), raw[last:]...)
	newer = append(newer, "\x03\x0c\x08\x01\x03\x01\x06\x02hi\x03\x63\x07\x01\x02"...)
	newer[1] += 2
	id, err := cid.Without(newer, 1, 11)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := alice.Sign(id)
	if err != nil {
		t.Fatal(err)
	}
	newer = bytes.Replace(newer, x.ReceiptID[:], id[:], 1)
	newer = bytes.Replace(newer, x.Signature.SigBytes[:], signature[:], 1)

	var got receipt.Receipt
	if opened, err := sig.Open(newer, &got); opened != id || err != nil {
		t.Fatalf("opened as %s, %v; want %s", opened, err, id)
	}
	if bytes.Equal(got.AppendCAN(nil), newer) {
		t.Error("re-encoding keeps unknown fields: the test shows nothing")
	}
	for i := range newer {
		for bit := range 8 {
			damaged := bytes.Clone(newer)
			damaged[i] ^= 1 << bit
			if _, err := sig.Open(damaged, &got); err == nil {
				t.Errorf("a flip of bit %d of byte %d of %x is accepted", bit, i, newer)
			}
		}
	}
}

// TestNoConfusion: for every ordered pair of signed kinds that name no schema,
// the bytes of one are not accepted as the other (RFC-MYTHOS-0001 §3.3).
func TestNoConfusion(t *testing.T) {
	kinds := map[string]func() sig.Object{
		"Receipt":        func() sig.Object { return sampleReceipt() },
		"Attestation":    func() sig.Object { return &receipt.Attestation{ClaimType: 1, Notes: "n"} },
		"Capability":     func() sig.Object { return &caps.Capability{Subject: bob.Agent()} },
		"EffectRegister": func() sig.Object { return &ledger.Register{} },
		"EffectCommit":   func() sig.Object { return &ledger.Commit{} },
		"DivergenceMark": func() sig.Object { return &ledger.Divergence{} },
		"Resolution":     func() sig.Object { return &ledger.Resolution{} },
		"Refusal":        func() sig.Object { return &ledger.Refusal{} },
		"RingState":      func() sig.Object { return &ledger.RingState{} },
	}
	for from, make1 := range kinds {
		raw, _, err := sig.Sign(make1(), alice)
		if err != nil {
			t.Fatal(err)
		}
		for to, make2 := range kinds {
			if _, err := sig.Decode(raw, make2()); (err == nil) != (from == to) {
				t.Errorf("a %s as a %s: %v", from, to, err)
			}
		}
	}
}

func TestSignProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := sampleReceipt()
		x.IdempotencyKey = rapid.SliceOf(rapid.Byte()).Draw(t, "key")
		x.Notes = rapid.String().Draw(t, "notes")
		x.TimeObserved = rapid.Int64().Draw(t, "time")
		raw, id, err := sig.Sign(x, bob)
		if err != nil {
			t.Fatal(err)
		}
		var back receipt.Receipt
		if got, err := sig.Open(raw, &back); got != id || err != nil || !bytes.Equal(back.AppendCAN(nil), raw) {
			t.Fatalf("%x: %s, %v", raw, got, err)
		}
		if again, _, _ := sig.Sign(&back, bob); !bytes.Equal(again, raw) {
			t.Fatal("signing again gives other bytes")
		}
	})
}
