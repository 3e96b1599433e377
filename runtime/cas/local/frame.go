package local

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// A pack begins with packHead and goes on with frames (RFC-MYTHOS-0007 §3):
//
//	 0  marker  8 bytes, the same in all frames of a pack and in no other
//	 8  kind    1 byte, then 3 zero bytes
//	12  length  u32 of the data behind the header
//	16  group   u32, the number of the sync that made it durable
//	20  time    i64, seconds since 1970: the object's generation
//	28  hash    32 bytes
//	60  crc     u32, CRC-32C of the bytes before it
//	64  data
//
// The marker follows from the pack's random name, so no object can hold a frame
// that a search for the next one would take for real.
const (
	packHead   = "mythos-pack 1\n"
	headerSize = 64
	markerSize = 8

	kindObject  = 1 // data is the object
	kindRenewal = 2 // no data: somebody relied on hash at time
	kindVoid    = 3 // data is what a crash left of frames nobody was told of
	kindEnd     = 4 // no data: everything before it is durable

	smallLimit = 64 << 10 // bytes: objects below it go into packs
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type marker [markerSize]byte

// markerOf returns the marker of a pack's frames.
func markerOf(name string) marker {
	sum := sha256.Sum256([]byte(packHead + name))
	return marker(sum[:markerSize])
}

// frame is the header of one.
type frame struct {
	kind   uint8
	length uint32
	group  uint32
	time   int64 // seconds since 1970
	hash   cid.Hash
}

func (x frame) size() int64 { return headerSize + int64(x.length) }

func (x frame) append(b []byte, m marker) []byte {
	start := len(b)
	b = append(b, m[:]...)
	b = append(b, x.kind, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, x.length)
	b = binary.BigEndian.AppendUint32(b, x.group)
	b = binary.BigEndian.AppendUint64(b, uint64(x.time))
	b = append(b, x.hash[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// decodeFrame returns the header in b, of headerSize bytes; false if it is none.
func decodeFrame(b []byte, m marker) (frame, bool) {
	x := frame{
		kind:   b[8],
		length: binary.BigEndian.Uint32(b[12:]),
		group:  binary.BigEndian.Uint32(b[16:]),
		time:   int64(binary.BigEndian.Uint64(b[20:])),
		hash:   cid.Hash(b[28:60]),
	}
	switch {
	case marker(b) != m, b[9]|b[10]|b[11] != 0, binary.BigEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli):
		return x, false
	case x.kind == kindObject:
		return x, x.length < smallLimit
	case x.kind == kindVoid:
		return x, true
	}
	return x, (x.kind == kindRenewal || x.kind == kindEnd) && x.length == 0
}

// region is a stretch of a pack in which no frame begins.
type region struct{ from, to int64 }

// scan is what a walk over a pack found.
type scan struct {
	end    int64    // offset behind the last whole frame
	group  uint32   // the highest seen
	mended []int64  // headers with a wrong bit or two, read as if they were right
	lost   []region // between frames: damage
	torn   region   // behind the last whole frame: unfinished, or damage
}

// walk calls see for every whole frame of the pack from offset from on, where
// one begins, up to size. Where a header is wrong it looks for the next one. An
// error is r's or see's.
func walk(r io.ReaderAt, m marker, from, size int64, see func(off int64, x frame) error) (scan, error) {
	w := &window{r: r, size: size}
	s := scan{end: from}
	for off := from; off < size; {
		x, ok, err := w.header(off, m)
		if err != nil {
			return s, err
		}
		if !ok {
			if x, ok = w.mend(off, m); ok && off+x.size() <= size {
				s.mended = append(s.mended, off)
			}
		}
		if !ok || off+x.size() > size {
			next, err := w.next(off+headerSize, m)
			if err != nil {
				return s, err
			}
			if next < 0 {
				s.torn = region{off, size}
				return s, nil
			}
			s.lost = append(s.lost, region{off, next})
			off = next
			continue
		}
		if err := see(off, x); err != nil {
			return s, err
		}
		off += x.size()
		s.end, s.group = off, max(s.group, x.group)
	}
	return s, nil
}

const windowSize = 256 << 10

// window reads a file in large pieces.
type window struct {
	r    io.ReaderAt
	size int64
	at   int64
	buf  []byte
}

// bytes returns up to n bytes from off on, fewer only at the end; they are good
// until the next call.
func (w *window) bytes(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), w.size-off))
	if n <= 0 {
		return nil, nil
	}
	if off < w.at || off+int64(n) > w.at+int64(len(w.buf)) {
		if w.buf == nil {
			w.buf = make([]byte, min(windowSize, w.size-off)) // later calls are nearer to the end
		}
		w.buf = w.buf[:cap(w.buf)]
		got, err := w.r.ReadAt(w.buf[:min(int64(len(w.buf)), w.size-off)], off)
		w.at, w.buf = off, w.buf[:got]
		if got < n {
			if err == io.EOF { //nolint:errorlint // io.ReaderAt returns it bare
				err = io.ErrUnexpectedEOF // it was cut while it was read
			}
			return nil, err
		}
	}
	return w.buf[off-w.at:][:n], nil
}

func (w *window) header(off int64, m marker) (frame, bool, error) {
	b, err := w.bytes(off, headerSize)
	if err != nil || len(b) < headerSize {
		return frame{}, false, err
	}
	x, ok := decodeFrame(b, m)
	return x, ok, nil
}

// mend returns the header that differs in one or two bits from what is at off.
// With it an object whose header rotted keeps its name.
func (w *window) mend(off int64, m marker) (frame, bool) {
	b, err := w.bytes(off, headerSize)
	if err != nil || len(b) < headerSize || differing(b[:markerSize], m[:]) > 2 {
		return frame{}, false
	}
	b = bytes.Clone(b)
	effect, at := bitEffects()
	wrong := binary.BigEndian.Uint32(b[crcAt:]) ^ crc32.Checksum(b[:crcAt], castagnoli)
	if i, ok := at[wrong]; ok {
		flipBit(b, i)
		return decodeFrame(b, m)
	}
	for i, e := range effect {
		if j, ok := at[wrong^e]; ok {
			flipBit(b, i)
			flipBit(b, j)
			return decodeFrame(b, m)
		}
	}
	return frame{}, false
}

const crcAt = headerSize - 4

// bitEffects returns what each bit of a header changes in the difference of its
// CRC and the right one, and which bit changes it so. No two or four bits of so
// short a text cancel out, so a difference tells which one or two are wrong.
func bitEffects() (effect []uint32, at map[uint32]int) {
	effect, at = make([]uint32, headerSize*8), make(map[uint32]int, headerSize*8)
	b := make([]byte, crcAt)
	zero := crc32.Checksum(b, castagnoli)
	for i := range effect {
		if i < crcAt*8 {
			flipBit(b, i)
			effect[i] = crc32.Checksum(b, castagnoli) ^ zero
			flipBit(b, i)
		} else {
			crc := make([]byte, 4)
			flipBit(crc, i-crcAt*8)
			effect[i] = binary.BigEndian.Uint32(crc)
		}
		at[effect[i]] = i
	}
	return effect, at
}

func flipBit(b []byte, i int) { b[i/8] ^= 1 << (i % 8) }

// differing counts the bits in which two texts of one length differ.
func differing(a, b []byte) int {
	n := 0
	for i := range a {
		n += bits.OnesCount8(a[i] ^ b[i])
	}
	return n
}

// next returns where the next whole frame begins at or behind off, or -1.
func (w *window) next(off int64, m marker) (int64, error) {
	for off+headerSize <= w.size {
		b, err := w.bytes(off, windowSize/2)
		if err != nil {
			return -1, err
		}
		i := bytes.Index(b, m[:])
		if i < 0 {
			off += int64(len(b)) - markerSize + 1
			continue
		}
		off += int64(i)
		x, ok, err := w.header(off, m)
		if err != nil {
			return -1, err
		}
		if ok && off+x.size() <= w.size {
			return off, nil
		}
		off++
	}
	return -1, nil
}
