// Package export carries objects where there is no network: a tar stream, plain
// or compressed, of objects named by their hashes (RFC-MYTHOS-0007 §8):
//
//	export          "mythos-export 1\n", "objects N\n", then "root sha256:...\n"
//	                for each object that was asked for
//	objects/HASH    an object's bytes, HASH in 64 lowercase hex; N of them
//
// Nothing in a stream is believed: each object is stored under its hash or
// refused, and a stream that ends early stores nothing.
package export

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrFormat is raised for a stream that is no whole export.
const ErrFormat fault.Code = "export_invalid"

const (
	headName  = "export"
	headFirst = "mythos-export 1\n"
	dir       = "objects/"
	maxHead   = 1 << 20 // bytes
)

// Options of Write.
type Options struct {
	Gzip bool
	// Progress is called after each object with how many were written, and of how
	// many bytes; it may be nil.
	Progress func(objects int, bytes int64)
}

// Write writes the objects, each once, in their order. roots are what an import
// tells of; they should be among the objects.
func Write(ctx context.Context, w io.Writer, from cas.Store, roots, objects []cid.Hash, o Options) error {
	buffered := bufio.NewWriterSize(w, 256<<10)
	out := io.Writer(buffered)
	var z *gzip.Writer
	if o.Gzip {
		z = gzip.NewWriter(buffered)
		out = z
	}
	t := tar.NewWriter(out)
	var head strings.Builder
	fmt.Fprintf(&head, "%sobjects %d\n", headFirst, len(objects))
	for _, r := range roots {
		fmt.Fprintf(&head, "root %s\n", r)
	}
	if head.Len() > maxHead {
		return fault.New(ErrFormat, "%d roots are too many for one export", len(roots))
	}
	if err := member(t, headName, int64(head.Len()), strings.NewReader(head.String())); err != nil {
		return err
	}
	total := int64(0)
	for i, h := range objects {
		size, err := object(ctx, t, from, h)
		if err != nil {
			return err
		}
		if total += size; o.Progress != nil {
			o.Progress(i+1, total)
		}
	}
	err := t.Close()
	if z != nil {
		err = errors.Join(err, z.Close())
	}
	return errors.Join(err, buffered.Flush())
}

func object(ctx context.Context, t *tar.Writer, from cas.Store, h cid.Hash) (int64, error) {
	r, size, err := from.Open(ctx, h)
	if err != nil {
		return 0, err
	}
	return size, errors.Join(member(t, dir+h.Hex(), size, r), r.Close())
}

func member(t *tar.Writer, name string, size int64, r io.Reader) error {
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o444, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := io.Copy(t, r)
	return err
}

// Imported is what an import brought.
type Imported struct {
	Roots   []cid.Hash
	Objects int
	Bytes   int64
}

// Read stores what a stream that Write made holds. Into a Store all of it is
// durable when Read returns, and after an error no object is there that was not
// before, unless it is whole.
func Read(ctx context.Context, r io.Reader, to cas.Store, progress func(objects int, bytes int64)) (x Imported, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var plain io.Reader = in
	if magic, err := in.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return x, broken(err)
		}
		plain = z
	}
	t := tar.NewReader(plain)
	want, roots, err := readHead(t)
	if err != nil {
		return x, err
	}
	batch, err := cas.Begin(ctx, to)
	if err != nil {
		return x, err
	}
	defer func() { err = errors.Join(err, batch.Close()) }()
	x.Roots = roots
	for ; x.Objects < want; x.Objects++ {
		size, err := readObject(ctx, t, batch)
		if err != nil {
			return x, err
		}
		if x.Bytes += size; progress != nil {
			progress(x.Objects+1, x.Bytes)
		}
	}
	switch _, err := t.Next(); {
	case err == nil:
		return x, fault.New(ErrFormat, "holds more than the %d objects that it announces", want)
	case !errors.Is(err, io.EOF):
		return x, broken(err)
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(plain, maxHead)); err != nil {
		return x, broken(err) // the checksum of compressed bytes is at their end
	}
	return x, batch.Commit(ctx)
}

func broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fault.New(ErrFormat, "%w", err)
}

func readHead(t *tar.Reader) (objects int, roots []cid.Hash, err error) {
	h, err := t.Next()
	if err != nil {
		return 0, nil, broken(err)
	}
	if h.Name != headName || h.Typeflag != tar.TypeReg || h.Size > maxHead {
		return 0, nil, fault.New(ErrFormat, "begins with %q, not with %q", h.Name, headName)
	}
	b, err := io.ReadAll(t)
	if err != nil {
		return 0, nil, broken(err)
	}
	text, ok := strings.CutPrefix(string(b), headFirst)
	count, rest, _ := strings.Cut(text, "\n")
	n, err := strconv.ParseUint(strings.TrimPrefix(count, "objects "), 10, 31)
	if !ok || err != nil || !strings.HasPrefix(count, "objects ") {
		return 0, nil, fault.New(ErrFormat, "says %.60q", b)
	}
	for line := range strings.Lines(rest) {
		root, err := cid.Parse(strings.TrimSuffix(strings.TrimPrefix(line, "root "), "\n"))
		if err != nil || line != "root "+root.String()+"\n" {
			return 0, nil, fault.New(ErrFormat, "says %.90q", line)
		}
		roots = append(roots, root)
	}
	return int(n), roots, nil
}

func readObject(ctx context.Context, t *tar.Reader, to cas.Putter) (int64, error) {
	h, err := t.Next()
	if err != nil {
		return 0, broken(err)
	}
	name, ok := strings.CutPrefix(h.Name, dir)
	id, err := cid.Parse("sha256:" + name)
	if !ok || err != nil || id.Hex() != name || h.Typeflag != tar.TypeReg {
		return 0, fault.New(ErrFormat, "holds %q, which is no object", h.Name)
	}
	err = to.PutFrom(ctx, t, id, h.Size)
	var src *cas.SourceError
	if errors.As(err, &src) && ctx.Err() == nil {
		err = broken(src.Err)
	}
	return h.Size, err
}
