package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// block appends a zstd block: kind 0 raw, 1 one repeated byte.
func block(b []byte, last bool, kind, size int, data ...byte) []byte {
	head := uint32(size)<<3 | uint32(kind)<<1
	if last {
		head |= 1
	}
	return append(append(b, byte(head), byte(head>>8), byte(head>>16)), data...)
}

// rawFrame stores data, of 1 to 255 bytes, in a zstd frame of one raw block.
func rawFrame(data []byte) []byte {
	b := []byte{0x28, 0xB5, 0x2F, 0xFD, 0x20, byte(len(data))}
	return block(b, true, 0, len(data), data...)
}

// decompress understands raw blocks and repeated bytes, the part of zstd that
// takes no entropy coding, without any bound of its own.
func decompress(frame []byte) (io.ReadCloser, error) {
	_, at, err := frameHeader(frame)
	if err != nil {
		return nil, err
	}
	var parts []io.Reader
	for last := false; !last; {
		head := uint32(frame[at]) | uint32(frame[at+1])<<8 | uint32(frame[at+2])<<16
		at += 3
		size := int(head >> 3)
		last = head&1 == 1
		switch head >> 1 & 3 {
		case 0:
			parts = append(parts, bytes.NewReader(frame[at:at+size]))
			at += size
		case 1:
			parts = append(parts, bytes.NewReader(bytes.Repeat(frame[at:at+1], size)))
			at++
		default:
			return nil, errors.New("a compressed block")
		}
	}
	return io.NopCloser(io.MultiReader(parts...)), nil
}

func zstdPacket(frame []byte) *Unverified { return &Unverified{Codec: CodecZstd, Payload: frame} }

func TestCodecZstd(t *testing.T) {
	text := can.AppendText(nil, "hello")
	p, err := New(CodecZstd, rawFrame(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := Sign(p, key(1)); err != nil {
		t.Fatal(err)
	}
	q, err := Parse(p.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := q.Bundle(Options{Decompress: decompress}); err != nil || !bytes.Equal(got, text) {
		t.Errorf("got %x, %v", got, err)
	}
	if len(q.Verify().Signers()) != 1 {
		t.Error("the signature does not cover the compressed bytes")
	}
	_, err = q.Bundle(Options{})
	if !errors.Is(err, ErrCodecUnavailable) {
		t.Errorf("got %v, want %s", err, ErrCodecUnavailable)
	}
	_, err = New(CodecZstd, text)
	if !errors.Is(err, ErrCompressed) {
		t.Errorf("got %v, want %s", err, ErrCompressed)
	}
}

func TestFrameRefuses(t *testing.T) {
	good := rawFrame(emptyMap)
	head := func(b ...byte) []byte { return append([]byte{0x28, 0xB5, 0x2F, 0xFD}, b...) }
	for name, frame := range map[string][]byte{
		"empty":                  nil,
		"not zstd":               []byte("\x1f\x8b\x08\x00\x00\x00\x00"),
		"skippable frame":        append([]byte{0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0}, good...),
		"header alone":           good[:6],
		"cut in a block head":    good[:8],
		"cut in a block":         good[:len(good)-1],
		"bytes after":            append(slices.Clone(good), 0),
		"two frames":             append(slices.Clone(good), good...),
		"reserved bit":           block(head(0x28, 2), true, 0, 2, emptyMap...),
		"dictionary":             block(head(0x21, 7, 2), true, 0, 2, emptyMap...),
		"reserved block type":    block(head(0x20, 2), true, 3, 2, emptyMap...),
		"block over 128 KiB":     block(head(0x20, 2), true, 1, 128<<10+1, 0),
		"no last block":          block(head(0x20, 2), false, 0, 2, emptyMap...),
		"checksum missing":       block(head(0x24, 2), true, 0, 2, emptyMap...),
		"checksum cut":           append(block(head(0x24, 2), true, 0, 2, emptyMap...), 1, 2, 3),
		"content size cut":       head(0xE0, 1, 0),
		"holds less than stated": block(head(0x20, 3), true, 0, 2, emptyMap...),
		"holds more than stated": block(head(0x20, 1), true, 0, 2, emptyMap...),
		"needs entropy coding":   block(head(0x20, 2), true, 2, 2, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := zstdPacket(frame).Bundle(Options{Decompress: decompress})
			if !errors.Is(err, ErrCompressed) {
				t.Errorf("got %v, want %s", err, ErrCompressed)
			}
		})
	}
}

func TestFrameForms(t *testing.T) {
	head := func(b ...byte) []byte { return append([]byte{0x28, 0xB5, 0x2F, 0xFD}, b...) }
	long := can.AppendBytes(nil, make([]byte, 600))
	for name, c := range map[string]struct{ frame, want []byte }{
		"window, no size":  {block(head(0x00, 0x58), true, 0, 2, emptyMap...), emptyMap},
		"size in 4 bytes":  {block(head(0xA0, 2, 0, 0, 0), true, 0, 2, emptyMap...), emptyMap},
		"size in 8 bytes":  {block(head(0xE0, 2, 0, 0, 0, 0, 0, 0, 0), true, 0, 2, emptyMap...), emptyMap},
		"size in 2 bytes":  {block(block(head(0x60, 91, 1), false, 0, 3, long[:3]...), true, 1, 600, 0), long[:603]},
		"with checksum":    {append(block(head(0x24, 2), true, 0, 2, emptyMap...), 1, 2, 3, 4), emptyMap},
		"an empty block":   {block(block(head(0x20, 2), false, 0, 0), true, 0, 2, emptyMap...), emptyMap},
		"one byte, twice":  {block(block(head(0x20, 4), false, 0, 2, can.List, 2), true, 1, 2, 0), []byte{can.List, 2, 0, 0}},
		"window mantissa":  {block(head(0x00, 0x0F), true, 0, 2, emptyMap...), emptyMap},
		"greatest allowed": {block(head(0x00, 0x80), true, 0, 2, emptyMap...), emptyMap},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := zstdPacket(c.frame).Bundle(Options{Decompress: decompress})
			if err != nil || !bytes.Equal(got, c.want) {
				t.Errorf("got %x, %v", got, err)
			}
		})
	}
}

func TestBundleIsBounded(t *testing.T) {
	bomb := []byte{0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58} // window 2 MiB, no size
	for range 100 {
		bomb = block(bomb, false, 1, 128<<10, 0)
	}
	bomb = block(bomb, true, 0, 0)
	sized := binary.LittleEndian.AppendUint64([]byte{0x28, 0xB5, 0x2F, 0xFD, 0xE0}, 1<<50)
	sized = block(sized, true, 1, 128<<10, 0)
	window := block([]byte{0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x88}, true, 0, 2, emptyMap...)
	for name, c := range map[string]struct {
		frame []byte
		limit int64
		want  fault.Code
	}{
		"bomb":                 {bomb, 1 << 20, ErrTooLarge},
		"bomb, one byte over":  {bomb, 100<<17 - 1, ErrTooLarge},
		"bomb, within":         {bomb, 100 << 17, can.ErrTrailing}, // a NULL with many more behind it
		"announces 2^50":       {sized, 0, ErrTooLarge},
		"window of 128 MiB":    {window, 0, ErrTooLarge},
		"one byte over, sized": {rawFrame(can.AppendText(nil, "ab")), 3, ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := zstdPacket(c.frame).Bundle(Options{Decompress: decompress, MaxBundle: c.limit})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestDecompressorFails(t *testing.T) {
	fail := errors.New("broken")
	for name, d := range map[string]func([]byte) (io.ReadCloser, error){
		"at once":     func([]byte) (io.ReadCloser, error) { return nil, fail },
		"in the read": func([]byte) (io.ReadCloser, error) { return &failing{err: fail}, nil },
	} {
		_, err := zstdPacket(rawFrame(emptyMap)).Bundle(Options{Decompress: d})
		if !errors.Is(err, ErrCompressed) || !errors.Is(err, fail) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	r := &failing{err: io.EOF}
	_, err := zstdPacket(rawFrame(emptyMap)).Bundle(Options{Decompress: func([]byte) (io.ReadCloser, error) { return r, nil }})
	if !errors.Is(err, ErrCompressed) || !r.closed {
		t.Errorf("an empty result: got %v, closed %t", err, r.closed)
	}
}

type failing struct {
	err    error
	closed bool
}

func (f *failing) Read([]byte) (int, error) { return 0, f.err }
func (f *failing) Close() error             { f.closed = true; return nil }
