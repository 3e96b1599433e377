package wire

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// DefaultMaxBundle bounds a decompressed payload in bytes.
const DefaultMaxBundle = 64 << 20

// leastWindow is the window that every zstd decoder should support.
const leastWindow = 8 << 20

// Options of reading a payload.
type Options struct {
	// Decompress returns a reader of what one zstd frame holds. nil: codec 2 is
	// ErrCodecUnavailable. It is called only with a frame whose structure was
	// checked and whose window is bounded by MaxBundle or 8 MiB.
	Decompress func(frame []byte) (io.ReadCloser, error)

	// MaxBundle bounds the decompressed payload in bytes; 0 is
	// DefaultMaxBundle.
	MaxBundle int64
}

// Bundle returns the canonical bytes that the payload holds, whose SHA-256 is
// the bundle's hash. It verifies no signature. With codec 1 the result aliases
// Payload.
func (p *Unverified) Bundle(o Options) ([]byte, error) {
	switch p.Codec {
	case CodecCAN:
		return p.Payload, nil
	case CodecZstd:
		return o.decompress(p.Payload)
	}
	return nil, fault.New(ErrCodec, "codec %d, want 1 or 2", p.Codec)
}

func (o Options) decompress(payload []byte) ([]byte, error) {
	if o.Decompress == nil {
		return nil, fault.New(ErrCodecUnavailable, "codec 2 (zstd) is not available here")
	}
	limit := o.MaxBundle
	if limit <= 0 {
		limit = DefaultMaxBundle
	}
	f, err := scanFrame(payload)
	if err != nil {
		return nil, err
	}
	if f.sized && f.size > uint64(limit) || f.window > uint64(max(limit, leastWindow)) {
		return nil, fault.New(ErrTooLarge, "a frame of %d bytes with a window of %d, at most %d", f.size, f.window, limit)
	}
	out, err := read(o.Decompress, payload, limit)
	if err != nil {
		return nil, err
	}
	if f.sized && uint64(len(out)) != f.size {
		return nil, fault.New(ErrCompressed, "the frame holds %d bytes and announces %d", len(out), f.size)
	}
	if err := can.Valid(out); err != nil {
		return nil, fmt.Errorf("decompressed payload: %w", err)
	}
	return out, nil
}

// read decompresses a frame, at most limit bytes.
func read(decompress func([]byte) (io.ReadCloser, error), frame []byte, limit int64) ([]byte, error) {
	r, err := decompress(frame)
	if err != nil {
		return nil, fault.New(ErrCompressed, "decompress the payload: %w", err)
	}
	defer r.Close()
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case int64(len(out)) > limit:
		return nil, fault.New(ErrTooLarge, "the payload decompresses to more than %d bytes", limit)
	case err != nil:
		return nil, fault.New(ErrCompressed, "decompress the payload: %w", err)
	}
	return out, nil
}

// frame is what the header of a zstd frame announces.
type frame struct {
	window uint64 // bytes of history that a decoder needs
	size   uint64 // bytes of content, if sized
	sized  bool
}

const (
	zstdMagic = 0xFD2FB528
	maxBlock  = 128 << 10
)

// scanFrame checks that b is exactly one zstd frame (RFC 8878, 3.1.1) without a
// dictionary, by its headers alone: decompressors differ in whether they read
// several frames or ignore what follows one.
func scanFrame(b []byte) (frame, error) {
	if len(b) < 6 || binary.LittleEndian.Uint32(b) != zstdMagic {
		return frame{}, fault.At(ErrCompressed, 0, "the payload is not a zstd frame")
	}
	f, at, err := frameHeader(b)
	if err != nil {
		return frame{}, err
	}
	for last := false; !last; {
		if len(b)-at < 3 {
			return frame{}, fault.At(ErrCompressed, at, "the frame ends before its last block")
		}
		head := uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16
		last = head&1 == 1
		kind, size := head>>1&3, int(head>>3)
		if kind == 3 || size > maxBlock {
			return frame{}, fault.At(ErrCompressed, at, "a block of type %d with %d bytes", kind, size)
		}
		if kind == 1 { // one byte, repeated size times
			size = 1
		}
		at += 3
		if size > len(b)-at {
			return frame{}, fault.At(ErrCompressed, at, "a block of %d bytes, %d bytes left", size, len(b)-at)
		}
		at += size
	}
	if b[4]&4 != 0 { // content checksum
		at += 4
	}
	if at != len(b) {
		return frame{}, fault.At(ErrCompressed, min(at, len(b)), "the frame has %d bytes, the payload %d", at, len(b))
	}
	return f, nil
}

// frameHeader reads the frame header behind the magic number and returns the
// offset of the first block. b has at least 6 bytes.
func frameHeader(b []byte) (frame, int, error) {
	descriptor, at := b[4], 5
	single := descriptor&0x20 != 0
	if descriptor&0x08 != 0 || descriptor&0x03 != 0 {
		return frame{}, 0, fault.At(ErrCompressed, 4, "a frame with a reserved bit or a dictionary")
	}
	var f frame
	if !single {
		exponent, mantissa := b[at]>>3, uint64(b[at]&7)
		base := uint64(1) << (10 + exponent)
		f.window = base + base/8*mantissa
		at++
	}
	sizes := [4]int{0, 2, 4, 8}
	n := sizes[descriptor>>6]
	if n == 0 && single {
		n = 1
	}
	if len(b)-at < n {
		return frame{}, 0, fault.At(ErrCompressed, at, "the frame header ends early")
	}
	for i := n - 1; i >= 0; i-- {
		f.size = f.size<<8 | uint64(b[at+i])
	}
	if n == 2 {
		f.size += 256
	}
	f.sized = n > 0
	if single {
		f.window = f.size
	}
	return f, at + n, nil
}
