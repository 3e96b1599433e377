package local

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/bits"
	"os"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// An index file lists the frames of a pack's durable beginning, so that opening
// a store does not read its packs (RFC-MYTHOS-0007 §4):
//
//	 0  "mythos-index 1\n" and a zero byte
//	16  covered  u64: it lists the frames before this offset of the pack
//	24  group    u32: the highest group of those
//	28  bits     u32: entries are in 2^bits buckets by the first bits of the hash
//	32  buckets  each u32 end, the entries up to and with this bucket,
//	             and u32 CRC-32C of the bucket's entries
//	    crc      u32, CRC-32C of everything before it
//	    entries  each 48 bytes: hash, u32 offset, u32 length, i64 time;
//	             ascending by hash, then by offset
//
// An entry with offset 0 is a renewal. A file that is missing, damaged or of
// more than the pack is as if it was not there: the pack is read instead.
const (
	indexHead     = "mythos-index 1\n\x00"
	indexFixed    = 32
	bucketSize    = 8
	entrySize     = 48
	perBucket     = 64
	maxBucketBits = 16
)

// entry is an object in a pack, or with offset 0 a renewal.
type entry struct {
	hash   cid.Hash
	offset uint32 // of the frame
	length uint32
	time   int64 // seconds since 1970
}

func (e entry) compare(o entry) int {
	if c := e.hash.Compare(o.hash); c != 0 {
		return c
	}
	return int(int64(e.offset) - int64(o.offset))
}

// bucketOf returns the first n bits of h.
func bucketOf(h cid.Hash, n uint32) int {
	return int(binary.BigEndian.Uint32(h[:4]) >> (32 - n) & (1<<n - 1))
}

// index is an index file: its head in memory, entries on disk.
type index struct {
	r       io.ReaderAt
	covered int64
	group   uint32
	bits    uint32
	table   []byte // buckets
	base    int64  // where entries begin
}

var errIndex = errors.New("the index is damaged")

// encodeIndex returns the index file of entries, which it sorts.
func encodeIndex(covered int64, group uint32, entries []entry) []byte {
	slices.SortFunc(entries, entry.compare)
	n := uint32(min(bits.Len(uint(len(entries)/perBucket)), maxBucketBits))
	head := indexFixed + bucketSize<<n + 4
	b := make([]byte, head, head+len(entries)*entrySize)
	copy(b, indexHead)
	binary.BigEndian.PutUint64(b[16:], uint64(covered))
	binary.BigEndian.PutUint32(b[24:], group)
	binary.BigEndian.PutUint32(b[28:], n)
	for i, done := 0, 0; i < 1<<n; i++ {
		from := len(b)
		for ; done < len(entries) && bucketOf(entries[done].hash, n) == i; done++ {
			e := entries[done]
			b = append(b, e.hash[:]...)
			b = binary.BigEndian.AppendUint32(b, e.offset)
			b = binary.BigEndian.AppendUint32(b, e.length)
			b = binary.BigEndian.AppendUint64(b, uint64(e.time))
		}
		row := b[indexFixed+i*bucketSize:]
		binary.BigEndian.PutUint32(row, uint32(done))
		binary.BigEndian.PutUint32(row[4:], crc32.Checksum(b[from:], castagnoli))
	}
	binary.BigEndian.PutUint32(b[head-4:], crc32.Checksum(b[:head-4], castagnoli))
	return b
}

// openIndex reads the head of an index file of size bytes over a pack of
// packSize.
func openIndex(r io.ReaderAt, size, packSize int64) (*index, error) {
	fixed := make([]byte, indexFixed)
	if _, err := r.ReadAt(fixed, 0); err != nil {
		return nil, errIndex
	}
	n := binary.BigEndian.Uint32(fixed[28:])
	if !bytes.HasPrefix(fixed, []byte(indexHead)) || n > maxBucketBits {
		return nil, errIndex
	}
	head := make([]byte, indexFixed+bucketSize<<n+4)
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, errIndex
	}
	body := head[:len(head)-4]
	x := &index{
		r: r, bits: n, table: body[indexFixed:], base: int64(len(head)),
		covered: int64(binary.BigEndian.Uint64(head[16:])), group: binary.BigEndian.Uint32(head[24:]),
	}
	if binary.BigEndian.Uint32(head[len(body):]) != crc32.Checksum(body, castagnoli) ||
		x.covered < int64(len(packHead)) || x.covered > packSize || size != x.base+int64(x.count())*entrySize {
		return nil, errIndex
	}
	return x, nil
}

func (x *index) end(bucket int) uint32 {
	if bucket < 0 {
		return 0
	}
	return binary.BigEndian.Uint32(x.table[bucket*bucketSize:])
}

func (x *index) count() uint32 { return x.end(1<<x.bits - 1) }

// bucket returns the entries of one bucket, checked.
func (x *index) bucket(i int) ([]byte, error) {
	from, to := x.end(i-1), x.end(i)
	if to < from || to > x.count() {
		return nil, errIndex
	}
	b := make([]byte, int(to-from)*entrySize)
	if _, err := x.r.ReadAt(b, x.base+int64(from)*entrySize); err != nil && len(b) > 0 {
		return nil, errIndex
	}
	if crc32.Checksum(b, castagnoli) != binary.BigEndian.Uint32(x.table[i*bucketSize+4:]) {
		return nil, errIndex
	}
	return b, nil
}

func decodeEntry(b []byte) entry {
	return entry{
		hash:   cid.Hash(b[:32]),
		offset: binary.BigEndian.Uint32(b[32:]),
		length: binary.BigEndian.Uint32(b[36:]),
		time:   int64(binary.BigEndian.Uint64(b[40:])),
	}
}

// find calls see for each entry of h.
func (x *index) find(h cid.Hash, see func(entry)) error {
	b, err := x.bucket(bucketOf(h, x.bits))
	if err != nil {
		return err
	}
	lo, hi := 0, len(b)/entrySize
	for lo < hi { // the first entry that is not below h
		if mid := (lo + hi) / 2; bytes.Compare(b[mid*entrySize:][:32], h[:]) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for ; lo < len(b)/entrySize && bytes.Equal(b[lo*entrySize:][:32], h[:]); lo++ {
		see(decodeEntry(b[lo*entrySize:]))
	}
	return nil
}

// each calls see for the entries of the buckets that hold hashes beginning with
// first, and a few more; of all if first is negative.
func (x *index) each(first int, see func(entry)) error {
	from, to := 0, 1<<x.bits-1
	if first >= 0 {
		from = bucketOf(cid.Hash{byte(first)}, x.bits)
		to = bucketOf(cid.Hash{byte(first), 0xff, 0xff, 0xff}, x.bits)
	}
	for i := from; i <= to; i++ {
		b, err := x.bucket(i)
		if err != nil {
			return err
		}
		for ; len(b) > 0; b = b[entrySize:] {
			if e := decodeEntry(b); first < 0 || e.hash[0] == byte(first) {
				see(e)
			}
		}
	}
	return nil
}

// loadIndex opens the index file at path over a pack of packSize; any fault
// means that there is none.
func loadIndex(path string, packSize int64) (*index, *os.File) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil
	}
	if info, err := f.Stat(); err == nil {
		if x, err := openIndex(f, info.Size(), packSize); err == nil {
			return x, f
		}
	}
	_ = f.Close()
	return nil, nil
}
