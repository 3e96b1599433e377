package conformance

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

func TestListFormula(t *testing.T) {
	f := ListFormula{Count: 3, Seed: Hex("s")}
	if got, want := f.Value(258), cid.Sum([]byte("s\x00\x00\x00\x00\x00\x00\x01\x02")); got != want {
		t.Errorf("value 258 is %s, want %s", got, want)
	}
	values := []cid.Hash{f.Value(0), f.Value(1), f.Value(2)}
	byFormula, err := merkleRoot(ListInput{Formula: &f})
	if err != nil {
		t.Fatal(err)
	}
	byValues, err := merkleRoot(ListInput{Values: values})
	if err != nil || *byFormula.Root != *byValues.Root || *byValues.Root != *merkle.Root(values) {
		t.Errorf("roots %s and %s, %v", byFormula.Root, byValues.Root, err)
	}
}

func TestPayloadFormula(t *testing.T) {
	first, second := cid.Sum([]byte("s\x00\x00\x00\x00\x00\x00\x00\x00")), cid.Sum([]byte("s\x00\x00\x00\x00\x00\x00\x00\x01"))
	whole := append(first[:], second[:]...)
	for _, size := range []int{0, 1, 31, 32, 33, 64} {
		f := PayloadFormula{Size: U64(size), Seed: Hex("s")}
		for _, step := range []int{1, 7, 100} {
			var got bytes.Buffer
			if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{f.Reader()}, make([]byte, step)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), whole[:size]) {
				t.Errorf("%d bytes read by %d: %x", size, step, got.Bytes())
			}
		}
	}
}

// A vector that asks for something no op has is wrong itself: that is no answer
// with a code, which an implementation could pass by giving the same one.
func TestInputsThatNoOpHas(t *testing.T) {
	values, seed := []cid.Hash{{}}, &ListFormula{}
	raw, text := Hex{}, &PayloadFormula{}
	for name, run := range map[string]func() error{
		"values and a formula": func() error { _, err := merkleRoot(ListInput{Values: values, Formula: seed}); return err },
		"too many values": func() error {
			_, err := merkleRoot(ListInput{Formula: &ListFormula{Count: maxFormula + 1}})
			return err
		},
		"no payload":   func() error { _, err := blobRoot(BlobInput{ChunkSize: 1}); return err },
		"two payloads": func() error { _, err := blobRoot(BlobInput{Payload: Payload{&raw, text}, ChunkSize: 1}); return err },
		"too large a payload": func() error {
			_, err := blobArtifact(ArtifactInput{Payload: Payload{Formula: &PayloadFormula{Size: 64<<20 + 1}}})
			return err
		},
		"no key":   func() error { _, err := ledgerKey(KeyInput{}); return err },
		"two keys": func() error { _, err := ledgerKey(KeyInput{Explicit: &raw, Derived: &DerivedKey{}}); return err },
		"no step of that name": func() error {
			_, err := ledgerScript(context.Background(), ScriptInput{Steps: []LedgerStep{{Do: "jump"}, {Do: "look"}}})
			return err
		},
	} {
		var wrong *inputError
		if err := run(); !errors.As(err, &wrong) {
			t.Errorf("%s: got %v, want an error of the input", name, err)
		}
	}
}

func TestUnzstd(t *testing.T) {
	frame, err := hex.DecodeString("28b52ffd0468250100a00728060c636f6e666f726d616e636561626364650500e74950051c070e060e218eb9040575e975")
	if err != nil {
		t.Fatal(err)
	}
	read := func(b []byte) ([]byte, error) {
		r, err := unzstd(b)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}
	got, err := read(frame)
	if err != nil || len(got) != 562 || strings.Count(string(got), "conformance") != 40 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	frame[len(frame)-1] ^= 1
	if _, err := read(frame); err == nil {
		t.Error("a frame with a wrong checksum was read")
	}
	if _, err := read([]byte("no frame")); err == nil {
		t.Error("what is no frame was read")
	}
}

func TestScriptEndsWithItsLastStep(t *testing.T) {
	find := LedgerStep{Do: "find", RunID: "r"}
	out, err := ledgerScript(context.Background(), ScriptInput{Steps: []LedgerStep{find, {Do: "crash"}, {Do: "look"}}})
	if err != nil || len(out.States) != 3 || out.States[0].Error != string(ledger.ErrNoItem) || out.States[2].Phase != "absent" {
		t.Errorf("states %+v, %v", out.States, err)
	}
	if _, err := ledgerScript(context.Background(), ScriptInput{Steps: []LedgerStep{{Do: "look"}, find}}); fault.CodeOf(err) != ledger.ErrNoItem {
		t.Errorf("refused with %v, want %s", err, ledger.ErrNoItem)
	}
}
