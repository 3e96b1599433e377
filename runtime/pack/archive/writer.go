package archive

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// Writer writes an archive. It is not safe for concurrent use. Its first error
// sticks; what was written until then is not an archive.
type Writer struct {
	out     io.Writer
	limits  Limits
	written int64 // of the file, but for its tail
	entries int
	last    string
	crc     uint32
	size    uint32
	block   []byte // the stored block under construction
	err     error
}

// NewWriter starts an archive on w, which it never closes.
func NewWriter(w io.Writer, limits Limits) *Writer {
	a := &Writer{out: w, limits: limits.fill(), block: make([]byte, 0, blockSize)}
	a.emit([]byte(gzipHead))
	return a
}

// Add appends the file at path, whose size bytes r must yield, all and no
// more. Paths come in ascending order of their bytes. It reads at most size+1
// bytes.
func (a *Writer) Add(path string, size int64, r io.Reader) error {
	if a.err == nil {
		a.err = a.add(path, size, r)
	}
	return a.err
}

func (a *Writer) add(path string, size int64, r io.Reader) error {
	if err := checkPath(path, a.last); err != nil {
		return err
	}
	if err := checkName(path); err != nil {
		return err
	}
	if a.entries++; a.entries > a.limits.MaxEntries {
		return fault.New(ErrTooLarge, "more than %d files", a.limits.MaxEntries)
	}
	if size < 0 || size > MaxFile || size > a.limits.MaxBytes-a.written {
		return tooLarge(a.limits).About(path)
	}
	a.last = path
	var head [record]byte
	putHead(&head, path, size)
	if _, err := (stream{a}).Write(head[:]); err != nil {
		return err
	}
	n, err := io.Copy(stream{a}, io.LimitReader(r, size))
	if err != nil {
		return fmt.Errorf("archive %s: %w", path, err)
	}
	var probe [1]byte
	if extra, _ := io.ReadFull(r, probe[:]); n != size || extra != 0 {
		return fault.New(ErrUnreadable, "got %d bytes or more, want %d", n+int64(extra), size).About(path)
	}
	_, err = stream{a}.Write(make([]byte, padding(size)))
	return err
}

// Close ends the archive and reports the first error.
func (a *Writer) Close() error {
	if a.err != nil {
		return a.err
	}
	if _, err := (stream{a}).Write(make([]byte, endSize)); err != nil {
		a.err = err
		return err
	}
	a.flush(true)
	tail := binary.LittleEndian.AppendUint32(nil, a.crc)
	a.emit(binary.LittleEndian.AppendUint32(tail, a.size))
	err := a.err
	if a.err == nil {
		a.err = fault.New(ErrUnreadable, "the archive is closed")
	}
	return err
}

// stream takes the bytes of the archive inside the gzip member.
type stream struct{ a *Writer }

// Write keeps at least one byte back, so that Close has a last block to mark.
func (t stream) Write(p []byte) (int, error) {
	a, n := t.a, len(p)
	a.crc = crc32.Update(a.crc, crc32.IEEETable, p)
	a.size += uint32(n)
	for len(p) > 0 && a.err == nil {
		if len(a.block) == blockSize {
			a.flush(false)
		}
		k := min(blockSize-len(a.block), len(p))
		a.block = append(a.block, p[:k]...)
		p = p[k:]
	}
	return n - len(p), a.err
}

func (a *Writer) flush(last bool) {
	var head [blockHead]byte
	putBlockHead(&head, len(a.block), last)
	a.emit(head[:])
	a.emit(a.block)
	a.block = a.block[:0]
}

func (a *Writer) emit(b []byte) {
	if a.err != nil {
		return
	}
	if a.written += int64(len(b)); a.written > a.limits.MaxBytes {
		a.err = tooLarge(a.limits)
		return
	}
	if _, err := a.out.Write(b); err != nil {
		a.err = fmt.Errorf("write archive: %w", err)
	}
}

func tooLarge(l Limits) *fault.Error {
	return fault.New(ErrTooLarge, "more than %d bytes", l.MaxBytes)
}

// checkPath reports whether path may follow last.
func checkPath(path, last string) error {
	if err := manifest.CheckPath(path); err != nil {
		return err
	}
	switch {
	case len(path) > MaxPath:
		return fault.New(ErrTooLarge, "a path of %d bytes, at most %d", len(path), MaxPath).About(path)
	case path == last:
		return fault.New(manifest.ErrPathCollision, "the file stands twice").About(path)
	case path < last:
		return fault.New(ErrNotCanonical, "the file stands after %s", last).About(path)
	}
	return nil
}
