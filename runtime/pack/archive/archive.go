// Package archive reads and writes the .mythos.tgz form of a package
// (RFC-MYTHOS-0006 §6): one gzip member of stored blocks around a ustar
// archive, every byte of which follows from the names and contents of its
// files. So two implementations write the same archive, and a flipped bit
// anywhere is refused.
//
//	1f8b0800 00000000 00ff            gzip head: no name, no time, no system
//	00 ffff 0000 <65535 bytes>        stored blocks of 65,535 bytes ...
//	01 len ~len <1..65535 bytes>      ... the last one marked, never empty
//	crc32 isize                       of what the blocks hold, little-endian
//
// The blocks hold, for each file in ascending order of its path, a ustar head
// of 512 bytes and the contents, padded with zeros to 512; then two blocks of
// zeros, and nothing after them. The files are manifest.bin, manifest.sig and
// objects/<64 lowercase hex>, claims/<64 lowercase hex> for attestations that were made
// later, and no others. A head names a regular file of mode 0644 with zero ids and time and
// no owner:
//
//	0    path, 1..72 bytes      100  "0000644\0"      108  "0000000\0" twice
//	124  size, 11 octal digits, NUL                   136  "00000000000\0"
//	148  sum of the head's bytes, with spaces here: 6 octal digits, NUL, space
//	156  "0"                    257  "ustar\0" "00"   329  "0000000\0" twice
//
// Nothing is compressed, so any byte of any file has a fixed place: Open checks
// the whole archive once, in constant memory and writing nothing, and then
// serves its files by random access.
package archive

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of this package. Paths have those of package manifest.
const (
	ErrNotCanonical fault.Code = "archive_not_canonical" // a byte, or an entry, that a writer would not write
	ErrTooLarge     fault.Code = "archive_too_large"     // more bytes or entries, or a longer path, than allowed
	ErrUnreadable   fault.Code = "archive_unreadable"    // the bytes could not be read
)

// Bounds of an archive; the first two are defaults of Limits.
const (
	DefaultMaxBytes   = 16 << 30
	DefaultMaxEntries = 200_002
	MaxPath           = 72
	MaxFile           = 8_589_934_591 // bytes: 11 octal digits
)

// Limits bounds an archive. A zero field means its default.
type Limits struct {
	MaxBytes   int64 // of the whole file; default 16 GiB
	MaxEntries int   // files; default 200,002
}

func (l Limits) fill() Limits {
	if l.MaxBytes == 0 {
		l.MaxBytes = DefaultMaxBytes
	}
	if l.MaxEntries == 0 {
		l.MaxEntries = DefaultMaxEntries
	}
	return l
}

// Entry is one file of an archive.
type Entry struct {
	Path string
	Size int64 // in bytes

	offset int64 // of its contents in the tar
}

const (
	gzipHead  = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
	gzipTail  = 8
	blockHead = 5
	blockSize = 65_535
	record    = 512
	nameSize  = 100
	endSize   = 2 * record
)

// putBlockHead writes the head of a stored block of n bytes.
func putBlockHead(b *[blockHead]byte, n int, last bool) {
	b[0] = 0
	if last {
		b[0] = 1
	}
	b[1], b[2] = byte(n), byte(n>>8)
	b[3], b[4] = ^b[1], ^b[2]
}

// putHead writes the one ustar head of a file.
func putHead(h *[record]byte, path string, size int64) {
	*h = [record]byte{}
	copy(h[:nameSize], path)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00", size))
	copy(h[136:], "00000000000\x00        0")
	copy(h[257:], "ustar\x0000")
	copy(h[329:], "0000000\x000000000\x00")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
}

// The files of every package.
const (
	ManifestName   = "manifest.bin"
	SignaturesName = "manifest.sig"
	objectsPrefix  = "objects/"
	claimsPrefix   = "claims/"
)

// ClaimName returns the path of the attestation with this id.
func ClaimName(id cid.Hash) string { return claimsPrefix + id.Hex() }

// ParseClaimName returns the id that an attestation's path states.
func ParseClaimName(path string) (cid.Hash, bool) { return parseName(path, claimsPrefix) }

// ObjectName returns the path of the content with this SHA-256.
func ObjectName(sha256 cid.Hash) string { return objectsPrefix + sha256.Hex() }

// ParseObjectName returns the SHA-256 that an object's path states.
func ParseObjectName(path string) (cid.Hash, bool) { return parseName(path, objectsPrefix) }

func parseName(path, prefix string) (cid.Hash, bool) {
	var h cid.Hash
	digits, ok := strings.CutPrefix(path, prefix)
	if !ok || len(digits) != 2*len(h) || strings.ToLower(digits) != digits {
		return h, false
	}
	_, err := hex.Decode(h[:], []byte(digits))
	return h, err == nil
}

// checkName reports whether a package has a file of this name.
func checkName(path string) error {
	if path == ManifestName || path == SignaturesName {
		return nil
	}
	_, object := ParseObjectName(path)
	_, claim := ParseClaimName(path)
	if !object && !claim {
		return fault.New(ErrNotCanonical, "an archive holds manifest.bin, manifest.sig, objects/<sha256> and claims/<id>, no other file").About(path)
	}
	return nil
}

// padding returns how many zeros follow contents of size bytes.
func padding(size int64) int64 { return -size & (record - 1) }
