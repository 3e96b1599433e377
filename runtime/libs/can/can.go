// Package can is MYTHOS-CAN v0.2, the one canonical encoding of everything that
// is hashed or signed (RFC-MYTHOS-0001 §2). A value is one tag byte and its
// payload:
//
//	00 NULL   01 false   02 true
//	03 UVARINT  unsigned LEB128, at most 64 bits, minimal
//	04 IVARINT  zigzag, then LEB128
//	05 BYTES    length varint, bytes
//	06 TEXT     length varint, UTF-8
//	07 LIST     count varint, items
//	08 MAP      count varint, key value pairs, ascending by encoded key bytes
//
// A struct is a MAP whose keys are the UVARINT field numbers 1..127; an absent
// optional field is left out. For example {1: 1, 2: "a"} is
//
//	08 02  03 01 03 01  03 02 06 01 61
//
// Encoders append to the caller's buffer. Decoding is strict: a Reader is a
// cursor that remembers its first error and the offset of the item that caused
// it, and bounds every length and count by the bytes left before anything is
// allocated. At most MaxDepth containers are open at once. A value that no
// struct describes stays its canonical bytes; there is no tree.
package can

import "encoding/binary"

// The tags of RFC-MYTHOS-0001 §2.1.
const (
	Null byte = iota
	False
	True
	Uint
	Int
	Bytes
	Text
	List
	Map
)

// MaxDepth is how many LIST or MAP may be open at once (RFC-MYTHOS-0001 §2.4).
const MaxDepth = 32

// AppendNull appends NULL.
func AppendNull(b []byte) []byte { return append(b, Null) }

// AppendBool appends true or false.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, True)
	}
	return append(b, False)
}

// AppendUint appends a UVARINT.
func AppendUint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, Uint, byte(v))
	}
	return binary.AppendUvarint(append(b, Uint), v)
}

// AppendInt appends an IVARINT.
func AppendInt(b []byte, v int64) []byte {
	return binary.AppendUvarint(append(b, Int), uint64(v)<<1^uint64(v>>63))
}

// AppendBytes appends BYTES.
func AppendBytes(b, v []byte) []byte { return append(appendHead(b, Bytes, len(v)), v...) }

// AppendText appends TEXT; v must be valid UTF-8.
func AppendText(b []byte, v string) []byte { return append(appendHead(b, Text, len(v)), v...) }

// AppendList appends the head of a LIST of n items.
func AppendList(b []byte, n int) []byte { return appendHead(b, List, n) }

// AppendMap appends the head of a MAP of n pairs.
func AppendMap(b []byte, n int) []byte { return appendHead(b, Map, n) }

// AppendField appends the key of struct field num, 1..127.
func AppendField(b []byte, num uint8) []byte { return append(b, Uint, num) }

func appendHead(b []byte, tag byte, n int) []byte {
	if n < 0x80 {
		return append(b, tag, byte(n))
	}
	return binary.AppendUvarint(append(b, tag), uint64(n))
}

// AppendWithout appends the struct msg with the entries of the given fields cut
// out and its count rewritten: the preimage of an id, taken from the ORIGINAL
// bytes, so that fields this build has never heard of stay covered
// (RFC-MYTHOS-0001 §3.2). drop must ascend.
func AppendWithout(dst, msg []byte, drop ...uint8) ([]byte, error) {
	r := NewReader(msg)
	s := r.Struct()
	kept := s.left
	head := len(dst)
	dst = append(dst, Map, 0) // at most 127 fields survive: one count byte
	start := r.off
	for s.left > 0 && r.err == nil {
		entry := r.off
		k := s.next()
		r.Skip()
		for len(drop) > 0 && drop[0] < k {
			drop = drop[1:]
		}
		if r.err == nil && len(drop) > 0 && drop[0] == k {
			dst = append(dst, msg[start:entry]...)
			start = r.off
			kept--
		}
	}
	r.leave()
	if err := r.Done(); err != nil {
		return nil, err
	}
	dst = append(dst, msg[start:r.off]...)
	dst[head+1] = byte(kept)
	return dst, nil
}
