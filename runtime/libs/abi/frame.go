package abi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of a frame that cannot be read.
const (
	ErrFrameEnd       fault.Code = "abi_frame_end"       // the stream ended before the first byte of a frame
	ErrFrameTruncated fault.Code = "abi_frame_truncated" // the stream ended inside a frame
	ErrFrameLength    fault.Code = "abi_frame_length"    // the length is not a minimal varint
	ErrFrameTooLarge  fault.Code = "abi_frame_too_large" // the announced length is over the limit
	ErrFrameRead      fault.Code = "abi_frame_read"      // the stream failed
)

// frameStep is how much is reserved before any byte of a frame has arrived: a
// module that announces much and sends nothing costs little.
const frameStep = 64 << 10

// AppendFrame appends msg as one frame.
func AppendFrame(b, msg []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(msg))), msg...)
}

// ReadFrame reads one frame of at most limit bytes and not one byte more than
// it. An ErrFrameTooLarge leaves the frame's bytes unread. The result is the
// caller's.
func ReadFrame(r io.Reader, limit int) ([]byte, error) {
	n, err := readLength(r)
	if err != nil {
		return nil, err
	}
	if limit < 0 || n > uint64(limit) {
		return nil, fault.New(ErrFrameTooLarge, "a frame of %d bytes, at most %d", n, limit)
	}
	var buf bytes.Buffer
	buf.Grow(int(min(n, frameStep)))
	got, err := io.CopyN(&buf, r, int64(n))
	switch {
	case errors.Is(err, io.EOF):
		return nil, fault.New(ErrFrameTruncated, "the stream ended after %d of %d bytes", got, n)
	case err != nil:
		return nil, fault.New(ErrFrameRead, "reading a frame: %w", err)
	}
	return buf.Bytes(), nil
}

// readLength reads the varint in front of a frame byte by byte, since a byte
// behind it may belong to nobody yet.
func readLength(r io.Reader) (uint64, error) {
	var v uint64
	var c [1]byte
	for i := range 10 {
		if _, err := io.ReadFull(r, c[:]); err != nil {
			return 0, lengthError(i, err)
		}
		b := uint64(c[0])
		if i == 9 && b > 1 {
			return 0, fault.New(ErrFrameLength, "a frame length exceeds 64 bits")
		}
		v |= b & 0x7f << (7 * i)
		if b < 0x80 {
			if b == 0 && i > 0 {
				return 0, fault.New(ErrFrameLength, "a frame length is not minimal")
			}
			return v, nil
		}
	}
	return 0, fault.New(ErrFrameLength, "a frame length exceeds 64 bits")
}

func lengthError(i int, err error) error {
	switch {
	case !errors.Is(err, io.EOF):
		return fault.New(ErrFrameRead, "reading a frame: %w", err)
	case i == 0:
		return fault.New(ErrFrameEnd, "the stream ended without a frame: %w", err)
	}
	return fault.New(ErrFrameTruncated, "the stream ended inside a frame's length")
}
