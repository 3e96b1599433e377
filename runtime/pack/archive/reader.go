package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// Archive is an archive whose every byte was checked once. Its contents are
// read again on each access, from bytes that others may have changed meanwhile:
// whoever needs them unchanged hashes what it reads. It is safe for concurrent
// use if its io.ReaderAt is.
type Archive struct {
	tar     stored
	entries []Entry
}

// Open checks the archive of size bytes in r, all of it, and lists its files.
// It writes nothing and holds in memory no more than the list.
func Open(ctx context.Context, r io.ReaderAt, size int64, limits Limits) (*Archive, error) {
	limits = limits.fill()
	if size > limits.MaxBytes {
		return nil, tooLarge(limits)
	}
	in, err := newScanner(ctx, r, size)
	if err != nil {
		return nil, err
	}
	a := &Archive{tar: in.tar}
	if a.entries, err = scan(in, limits); err != nil {
		return nil, err
	}
	paths := make([]string, len(a.entries))
	for i, e := range a.entries {
		paths[i] = e.Path
	}
	if err := manifest.CheckPaths(paths); err != nil {
		return nil, err
	}
	for _, p := range paths {
		if err := checkName(p); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Entries returns the files, ascending by path. The caller must not change it.
func (a *Archive) Entries() []Entry { return a.entries }

// File returns the contents of the file at path, and false if there is none.
func (a *Archive) File(path string) (*io.SectionReader, bool) {
	i, ok := slices.BinarySearchFunc(a.entries, path, func(e Entry, p string) int { return strings.Compare(e.Path, p) })
	if !ok {
		return nil, false
	}
	return io.NewSectionReader(a.tar, a.entries[i].offset, a.entries[i].Size), true
}

// stored gives random access to what the stored blocks hold.
type stored struct {
	r    io.ReaderAt
	size int64 // of the tar
}

// ReadAt reads across blocks.
func (s stored) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= s.size {
			return n, io.EOF
		}
		k := min(int64(len(p)-n), blockSize-at%blockSize, s.size-at)
		m, err := s.r.ReadAt(p[n:n+int(k)], s.place(at))
		n += m
		if int64(m) < k {
			return n, unreadable(err)
		}
	}
	return n, nil
}

// place returns where byte at of the tar lies in the file.
func (s stored) place(at int64) int64 {
	return int64(len(gzipHead)) + at/blockSize*(blockHead+blockSize) + blockHead + at%blockSize
}

func unreadable(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fault.New(ErrUnreadable, "read the archive: %w", err)
}

// scanner reads the tar from front to back, and checks every byte of gzip
// around it as it goes.
type scanner struct {
	ctx  context.Context
	tar  stored
	off  int64 // of the next byte of the tar that is not in buf
	buf  []byte
	left []byte // of buf
	crc  uint32
}

// newScanner checks the file's length and the gzip head.
func newScanner(ctx context.Context, r io.ReaderAt, size int64) (*scanner, error) {
	body := size - int64(len(gzipHead)) - gzipTail
	blocks := (body + blockHead + blockSize - 1) / (blockHead + blockSize)
	length := body - blocks*blockHead
	if body <= 0 || length <= (blocks-1)*blockSize || length < endSize || length%record != 0 {
		return nil, fault.New(ErrNotCanonical, "%d bytes are no archive's length", size)
	}
	var head [len(gzipHead)]byte
	if n, err := r.ReadAt(head[:], 0); n < len(head) {
		return nil, unreadable(err)
	}
	if string(head[:]) != gzipHead {
		return nil, fault.At(ErrNotCanonical, 0, "the file does not start with %x", gzipHead)
	}
	return &scanner{ctx: ctx, tar: stored{r, length}, buf: make([]byte, blockHead+blockSize)}, nil
}

// next returns the following n bytes or fewer, at least one; they are valid
// until the next call.
func (s *scanner) next(n int64) ([]byte, error) {
	if len(s.left) == 0 {
		if err := s.fill(); err != nil {
			return nil, err
		}
	}
	k := min(n, int64(len(s.left)))
	b := s.left[:k]
	s.left = s.left[k:]
	return b, nil
}

// fill reads the next stored block and checks its head.
func (s *scanner) fill() error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if s.off == s.tar.size {
		return fault.New(ErrNotCanonical, "the tar ends inside a file")
	}
	size := int(min(blockSize, s.tar.size-s.off))
	at := s.tar.place(s.off) - blockHead
	block := s.buf[:blockHead+size]
	if n, err := s.tar.r.ReadAt(block, at); n < len(block) {
		return unreadable(err)
	}
	s.off += int64(size)
	var head [blockHead]byte
	putBlockHead(&head, size, s.off == s.tar.size)
	if !bytes.Equal(block[:blockHead], head[:]) {
		return fault.At(ErrNotCanonical, int(at), "the head of a stored block is %x, want %x", block[:blockHead], head)
	}
	s.left = block[blockHead:]
	s.crc = crc32.Update(s.crc, crc32.IEEETable, s.left)
	return nil
}

// pos returns the offset in the tar of the next byte.
func (s *scanner) pos() int64 { return s.off - int64(len(s.left)) }

// record reads one record of the tar into h.
func (s *scanner) record(h *[record]byte) error {
	for n := 0; n < record; {
		b, err := s.next(int64(record - n))
		if err != nil {
			return err
		}
		n += copy(h[n:], b)
	}
	return nil
}

// skip steps over the contents of a file.
func (s *scanner) skip(n int64) error {
	for n > 0 {
		b, err := s.next(n)
		if err != nil {
			return err
		}
		n -= int64(len(b))
	}
	return nil
}

// zeros steps over n bytes that must be zero.
func (s *scanner) zeros(n int64, what string) error {
	for n > 0 {
		at := s.pos()
		b, err := s.next(n)
		if err != nil {
			return err
		}
		if !isZero(b) {
			return fault.New(ErrNotCanonical, "%s at tar offset %d is not all zeros", what, at)
		}
		n -= int64(len(b))
	}
	return nil
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// scan reads every file's head and steps over its contents.
func scan(in *scanner, limits Limits) ([]Entry, error) {
	var entries []Entry
	var head [record]byte
	last := ""
	for {
		if err := in.record(&head); err != nil {
			return nil, err
		}
		if isZero(head[:]) {
			return entries, finish(in)
		}
		if len(entries) == limits.MaxEntries {
			return nil, fault.New(ErrTooLarge, "more than %d files", limits.MaxEntries)
		}
		e, err := parseHead(&head, last)
		if err != nil {
			return nil, err
		}
		e.offset = in.pos()
		if e.Size > in.tar.size-e.offset-endSize {
			return nil, fault.New(ErrNotCanonical, "the archive ends inside the file's %d bytes", e.Size).About(e.Path)
		}
		if err := in.skip(e.Size); err != nil {
			return nil, err
		}
		if err := in.zeros(padding(e.Size), "padding"); err != nil {
			return nil, err
		}
		entries = append(entries, e)
		last = e.Path
	}
}

// finish checks the second end block, that nothing follows it, and the tail of
// the gzip member.
func finish(in *scanner) error {
	if err := in.zeros(record, "the second end block"); err != nil {
		return err
	}
	if rest := in.tar.size - in.pos(); rest != 0 {
		return fault.New(ErrNotCanonical, "%d bytes after the end blocks", rest)
	}
	at := in.tar.place(in.tar.size-1) + 1
	var tail, want [gzipTail]byte
	if n, err := in.tar.r.ReadAt(tail[:], at); n < gzipTail {
		return unreadable(err)
	}
	binary.LittleEndian.PutUint32(want[:], in.crc)
	binary.LittleEndian.PutUint32(want[4:], uint32(in.tar.size))
	if tail != want {
		return fault.At(ErrNotCanonical, int(at), "CRC-32 and length are %x, want %x: a byte was changed", tail, want)
	}
	return nil
}

// parseHead reads a ustar head, builds the head that a writer would have
// written for what it says, and compares.
func parseHead(h *[record]byte, last string) (Entry, error) {
	path, _, _ := strings.Cut(string(h[:nameSize]), "\x00")
	if kind := h[156]; kind != '0' {
		return Entry{}, fault.New(ErrNotCanonical, "%s, and an archive holds only files", kindName(kind)).About(strconv.Quote(path))
	}
	if err := checkPath(path, last); err != nil {
		return Entry{}, err
	}
	size, err := strconv.ParseInt(string(h[124:135]), 8, 64)
	if err != nil || size < 0 {
		return Entry{}, fault.New(ErrNotCanonical, "a size that is not 11 octal digits").About(path)
	}
	var want [record]byte
	putHead(&want, path, size)
	for i := range want {
		if h[i] != want[i] {
			return Entry{}, fault.New(ErrNotCanonical, "byte %d of its tar head is %02x, want %02x", i, h[i], want[i]).About(path)
		}
	}
	return Entry{Path: path, Size: size}, nil
}

func kindName(flag byte) string {
	switch flag {
	case '1':
		return "a hard link"
	case '2':
		return "a symbolic link"
	case '3', '4', '6':
		return "a device or pipe"
	case '5':
		return "a folder"
	}
	return fmt.Sprintf("an entry of type %q", flag)
}
