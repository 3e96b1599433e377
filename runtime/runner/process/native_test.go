package process

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/runner"
)

// image returns a small static executable: one header, one loadable segment.
func image() []byte {
	b := make([]byte, elfHeader+2*elfSegment+64)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[16:], elfExecutable)
	le.PutUint16(b[18:], 62)
	le.PutUint64(b[32:], elfHeader)
	le.PutUint16(b[54:], elfSegment)
	le.PutUint16(b[56:], 2)
	le.PutUint32(b[elfHeader:], 1)
	return b
}

// dynamic makes the second segment of an image a dynamic one with these tags.
func dynamic(b []byte, tags ...uint64) {
	at := elfHeader + elfSegment
	le := binary.LittleEndian
	le.PutUint32(b[at:], segmentDynamic)
	le.PutUint64(b[at+8:], uint64(elfHeader+2*elfSegment))
	le.PutUint64(b[at+32:], uint64(16*len(tags)))
	for i, tag := range tags {
		le.PutUint64(b[elfHeader+2*elfSegment+16*i:], tag)
	}
}

func TestCheckNative(t *testing.T) {
	le := binary.LittleEndian
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		good   bool
	}{
		"static":           {func(b []byte) []byte { return b }, true},
		"static pie":       {func(b []byte) []byte { le.PutUint16(b[16:], elfShared); dynamic(b, 5, 0); return b }, true},
		"loader":           {func(b []byte) []byte { le.PutUint32(b[elfHeader:], segmentLoader); return b }, false},
		"libraries":        {func(b []byte) []byte { dynamic(b, 5, dynamicNeeded); return b }, false},
		"after the end":    {func(b []byte) []byte { dynamic(b, dynamicNull, dynamicNeeded); return b }, true},
		"dynamic outside":  {func(b []byte) []byte { dynamic(b); le.PutUint64(b[elfHeader+elfSegment+8:], 1<<63); return b }, false},
		"dynamic too long": {func(b []byte) []byte { dynamic(b); le.PutUint64(b[elfHeader+elfSegment+32:], 1<<63); return b }, false},
		"machine":          {func(b []byte) []byte { le.PutUint16(b[18:], 183); return b }, false},
		"unknown machine":  {func(b []byte) []byte { le.PutUint16(b[18:], 9999); return b }, false},
		"object":           {func(b []byte) []byte { le.PutUint16(b[16:], 1); return b }, false},
		"core":             {func(b []byte) []byte { le.PutUint16(b[16:], 4); return b }, false},
		"32 bits":          {func(b []byte) []byte { b[4] = 1; return b }, false},
		"big-endian":       {func(b []byte) []byte { b[5] = 2; return b }, false},
		"segment size":     {func(b []byte) []byte { le.PutUint16(b[54:], 32); return b }, false},
		"no segments":      {func(b []byte) []byte { le.PutUint16(b[56:], 0); return b }, false},
		"many segments":    {func(b []byte) []byte { le.PutUint16(b[56:], 0xffff); return b }, false},
		"segments outside": {func(b []byte) []byte { le.PutUint64(b[32:], 1<<63); return b }, false},
		"segments at end":  {func(b []byte) []byte { le.PutUint64(b[32:], uint64(len(b))); return b }, false},
		"short":            {func(b []byte) []byte { return b[:63] }, false},
		"empty":            {func([]byte) []byte { return nil }, false},
		"script": {func([]byte) []byte {
			return []byte("#!/bin/sh\necho this is a script and no executable for anybody at all\n")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkNative(c.change(image()), "linux/amd64")
			if c.good != (err == nil) || err != nil && !errors.Is(err, ErrNative) {
				t.Errorf("good %v: %v", c.good, err)
			}
		})
	}
	if err := checkNative(image(), "plan9/mips"); !errors.Is(err, ErrNative) {
		t.Errorf("another platform: %v", err)
	}
}

// FuzzCheckNative: no bytes make the check panic.
func FuzzCheckNative(f *testing.F) {
	f.Add(image())
	pie := image()
	dynamic(pie, 5, 0)
	f.Add(pie)
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := checkNative(b, "linux/amd64"); err != nil && !errors.Is(err, ErrNative) {
			t.Errorf("%v has no code", err)
		}
	})
}

// TestNativeRefused: what is no static program of this machine is refused when it
// is loaded; this machine's own interpreters are dynamically linked.
func TestNativeRefused(t *testing.T) {
	r := start(t, runner.KindNative, nil)
	raw, err := os.ReadFile(interpreter(t, "python3").Path)
	if err != nil {
		t.Fatal(err)
	}
	m := native(t, "echo")
	m.Load, m.Digest = load(raw)
	if err := r.Check(t.Context(), m); !errors.Is(err, ErrNative) {
		t.Errorf("a dynamic executable: %v", err)
	}
	m = native(t, "echo")
	m.Entry = nil
	if err := r.Check(t.Context(), m); err == nil {
		t.Error("no entry: accepted")
	}
}

// TestSealed: nobody can change what runs, and it can be executed.
func TestSealed(t *testing.T) {
	f, err := sealed("x", []byte("bytes"), true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := os.OpenFile(descriptorPath(f), os.O_RDWR, 0)
	if err == nil {
		if _, err := w.Write([]byte("B")); err == nil {
			t.Error("a sealed file was written")
		}
		if err := w.Truncate(0); err == nil {
			t.Error("a sealed file was cut")
		}
		w.Close()
	}
	b := make([]byte, 10)
	if n, err := f.Read(b); err != nil || string(b[:n]) != "bytes" {
		t.Errorf("read %q, %v", b[:n], err)
	}
	if h := cid.Sum(b[:5]); h != cid.Sum([]byte("bytes")) {
		t.Error("other bytes")
	}
}
