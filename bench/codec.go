package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
	"google.golang.org/protobuf/proto"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// nodeWidth is the number of hashes in a full Merkle list node.
const nodeWidth = 1024

// sampleReceipt is a receipt as the effect pipeline makes them: a derived
// idempotency key and one evidence hash.
func sampleReceipt() (*receipt.Receipt, error) {
	key := ledger.DerivedKey{RunID: "20260101T000000Z-ABCDEFGHIJKLMNOP", PackageID: sampleHash(0), Bundle: sampleHash(1), TaskID: sampleHash(2)}
	x := &receipt.Receipt{
		ToolID: sampleHash(3), RequestHash: sampleHash(4), ResponseHash: sampleHash(5),
		IdempotencyKey: key.IdempotencyKey(sampleHash(6), sampleHash(7)),
		TimeObserved:   1_767_225_600_000_000, Status: 200, Evidence: []cid.Hash{sampleHash(8)},
	}
	_, _, err := sig.Sign(x, sig.NewKey(sampleHash(9), ""))
	return x, err
}

func sampleNode() *merkle.ListLeaf {
	x := &merkle.ListLeaf{}
	for i := range nodeWidth {
		x.Values = append(x.Values, sampleHash(i))
	}
	return x
}

func sampleHash(i int) cid.Hash { return cid.Sum([]byte{byte(i), byte(i >> 8)}) }

// codecs are the encodings of one object that are compared.
type codecs struct {
	object string
	bytes  [3]int // of MYTHOS-CAN, fxamacker/cbor and protobuf
	encode []entrant
	reused []entrant // decode into the same struct again
	fresh  []entrant // decode into a new struct that owns all it holds
}

// ours is a struct with a generated codec, called as a program that knows its
// types does: through an interface the Reader would escape to the heap.
type ours[T any] struct {
	value  *T
	encode func(*T, []byte) []byte
	decode func(*T, []byte) error
	own    func(*T)  // copies what a decoded struct still shares with its input
	alone  func() *T // allocates what a new, owned struct takes, and nothing more
}

func oursReceipt(x *receipt.Receipt) ours[receipt.Receipt] {
	return ours[receipt.Receipt]{
		value: x, encode: (*receipt.Receipt).AppendCAN,
		decode: func(x *receipt.Receipt, raw []byte) error {
			r := can.NewReader(raw)
			x.ReadCAN(&r)
			return r.Done()
		},
		own: func(x *receipt.Receipt) { x.IdempotencyKey = slices.Clone(x.IdempotencyKey) },
		alone: func() *receipt.Receipt {
			return &receipt.Receipt{
				IdempotencyKey: make([]byte, len(x.IdempotencyKey)), Evidence: make([]cid.Hash, len(x.Evidence)),
			}
		},
	}
}

func oursNode(x *merkle.ListLeaf) ours[merkle.ListLeaf] {
	return ours[merkle.ListLeaf]{
		value: x, encode: (*merkle.ListLeaf).AppendCAN,
		decode: func(x *merkle.ListLeaf, raw []byte) error {
			r := can.NewReader(raw)
			x.ReadCAN(&r)
			return r.Done()
		},
		own:   func(*merkle.ListLeaf) {}, // hashes are copied anyway
		alone: func() *merkle.ListLeaf { return &merkle.ListLeaf{Values: make([]cid.Hash, len(x.Values))} },
	}
}

// against puts the three codecs of one object side by side.
func against[T, F any, M proto.Message](object string, o ours[T], peer *F, message M) (*codecs, error) {
	enc, dec, err := cborModes()
	if err != nil {
		return nil, err
	}
	var cborRaw bytes.Buffer
	if err := enc.MarshalToBuffer(peer, &cborRaw); err != nil {
		return nil, err
	}
	deterministic := proto.MarshalOptions{Deterministic: true}
	pbRaw, err := deterministic.Marshal(message)
	if err != nil {
		return nil, err
	}
	canRaw := o.encode(o.value, nil)
	c := &codecs{object: object, bytes: [3]int{len(canRaw), cborRaw.Len(), len(pbRaw)}}

	canBuf, pbBuf, copyBuf := make([]byte, 0, len(canRaw)), make([]byte, 0, len(pbRaw)), make([]byte, len(canRaw))
	var cborBuf bytes.Buffer
	c.encode = []entrant{
		{"MYTHOS-CAN", func() error { canBuf = o.encode(o.value, canBuf[:0]); return nil }},
		{"fxamacker/cbor", func() error { cborBuf.Reset(); return enc.MarshalToBuffer(peer, &cborBuf) }},
		{"protobuf", func() (err error) { pbBuf, err = deterministic.MarshalAppend(pbBuf[:0], message); return err }},
		{"copying the bytes", func() error { copy(copyBuf, canRaw); return nil }},
	}
	canInto, cborInto, pbInto := new(T), new(F), message.ProtoReflect().New().Interface()
	c.reused = []entrant{
		{"MYTHOS-CAN", func() error { return o.decode(canInto, canRaw) }},
		{"fxamacker/cbor", func() error { return dec.Unmarshal(cborRaw.Bytes(), cborInto) }},
		{"protobuf", func() error { return proto.Unmarshal(pbRaw, pbInto) }},
	}
	var canKept, shared, spare *T
	var cborKept *F
	var pbKept proto.Message
	c.fresh = []entrant{
		{"MYTHOS-CAN", func() error { canKept = new(T); err := o.decode(canKept, canRaw); o.own(canKept); return err }},
		{"fxamacker/cbor", func() error { cborKept = new(F); return dec.Unmarshal(cborRaw.Bytes(), cborKept) }},
		{"protobuf", func() error { pbKept = message.ProtoReflect().New().Interface(); return proto.Unmarshal(pbRaw, pbKept) }},
		{"MYTHOS-CAN, sharing its input", func() error { shared = new(T); return o.decode(shared, canRaw) }},
		{"allocating alone", func() error { spare = o.alone(); return nil }},
	}
	return c, c.agree(func() bool {
		for _, x := range []*T{canKept, canInto, shared} {
			if !bytes.Equal(o.encode(x, nil), canRaw) {
				return false
			}
		}
		return spare != nil && same(enc, cborKept, cborRaw.Bytes()) && same(enc, cborInto, cborRaw.Bytes()) &&
			proto.Equal(pbKept, message) && proto.Equal(pbInto, message)
	})
}

// same reports whether x encodes to want.
func same[F any](enc cbor.UserBufferEncMode, x *F, want []byte) bool {
	got, err := enc.Marshal(x)
	return err == nil && bytes.Equal(got, want)
}

// agree runs every entrant once and asks whether what they decoded is what was
// encoded.
func (c *codecs) agree(ok func() bool) error {
	for _, e := range slices.Concat(c.encode, c.reused, c.fresh) {
		if err := e.op(); err != nil {
			return fmt.Errorf("%s of %s: %w", e.name, c.object, err)
		}
	}
	if !ok() {
		return errors.New(c.object + ": a codec does not give back what it was given")
	}
	return nil
}

// codecObjects are the objects that the project's target names.
func codecObjects() ([]*codecs, error) {
	r, err := sampleReceipt()
	if err != nil {
		return nil, err
	}
	first, err := against("Receipt", oursReceipt(r), cborReceipt(r), pbReceipt(r))
	if err != nil {
		return nil, err
	}
	n := sampleNode()
	second, err := against("node of 1,024 hashes", oursNode(n), cborNode(n), pbNode(n))
	return []*codecs{first, second}, err
}

// benchCodecs writes a table for every object and direction.
func benchCodecs(ctx context.Context, w io.Writer, rounds int, slice time.Duration) ([]claim, error) {
	all, err := codecObjects()
	if err != nil {
		return nil, err
	}
	var claims []claim
	fmt.Fprintln(w, "\n## Codecs")
	for _, c := range all {
		fmt.Fprintf(w, "\n%s: MYTHOS-CAN %d bytes, fxamacker/cbor %d, protobuf %d.\n", c.object, c.bytes[0], c.bytes[1], c.bytes[2])
		for _, job := range []struct {
			name     string
			entrants []entrant
		}{
			{"encode into a reused buffer", c.encode},
			{"decode into a reused struct", c.reused},
			{"decode into a new struct", c.fresh},
		} {
			title := c.object + ", " + job.name
			m, err := compare(ctx, rounds, slice, job.entrants)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", title, err)
			}
			codecTable(w, title, m)
			claims = append(claims, claim{title + ": fxamacker/cbor takes", atLeast, 8, times, spreadOf(ratios(m[1].ns, m[0].ns))})
		}
	}
	_, err = fmt.Fprint(w, codecNotes)
	return claims, err
}
