package image

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner/image/layout"
)

// Bounds of unpacking.
const (
	maxCompressed = 4 << 30   // bytes of all layers as they are stored
	headRoom      = 512 << 20 // bytes of a tar stream beside its files' content
	maxWindow     = 128 << 20 // zstd
)

// parts are an image's documents.
type parts struct {
	manifest *layout.Manifest
	config   *layout.Config
}

// opener is runner.Module.Open.
type opener = func(context.Context, cid.Hash, uint64) (io.ReadCloser, error)

// readParts reads the config that a manifest names.
func readParts(ctx context.Context, raw []byte, open opener) (*parts, error) {
	m, err := layout.ParseManifest(raw)
	if err != nil {
		return nil, err
	}
	var total uint64
	for i := range m.Layers {
		if m.Layers[i].Size > maxCompressed-total {
			return nil, fault.New(ErrLimit, "the layers have more than %d bytes", uint64(maxCompressed))
		}
		total += m.Layers[i].Size
	}
	in, err := open(ctx, m.Config.SHA256, m.Config.Size)
	if err != nil {
		return nil, fmt.Errorf("open the image's config: %w", err)
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, int64(m.Config.Size)+1))
	if err != nil {
		return nil, fmt.Errorf("read the image's config: %w", err)
	}
	if cid.Sum(b) != m.Config.SHA256 {
		return nil, fault.New(layout.ErrDigest, "the bytes of the config are %s, want %s", cid.Sum(b), m.Config.SHA256)
	}
	c, err := layout.ParseConfig(b, len(m.Layers))
	if err != nil {
		return nil, err
	}
	return &parts{m, c}, nil
}

// visitor takes the entries of a layer: its header, its place among the layer's
// entries and, of a regular file, its content.
type visitor func(h *tar.Header, place int, body io.Reader) error

// layer streams a layer through visit and checks both of its digests at the end:
// until then nothing that came from it counts.
func (p *parts) layer(ctx context.Context, i int, limit int64, open opener, visit visitor) error {
	l := &p.manifest.Layers[i]
	in, err := open(ctx, l.SHA256, l.Size)
	if err != nil {
		return fmt.Errorf("open layer %d, %s: %w", i, l.SHA256, err)
	}
	defer in.Close()
	stored := &hashed{r: io.LimitReader(stopping{ctx, in}, int64(l.Size)+1), h: sha256.New()}
	got, err := unpack(ctx, l.Compression, bufio.NewReaderSize(stored, 64<<10), limit, visit)
	if err == nil || errors.Is(err, layout.ErrInvalid) { // bytes that are not the layer's need not be readable
		_, e := io.Copy(io.Discard, stored)
		switch is := stored.sum(); {
		case e != nil:
			err = fmt.Errorf("read: %w", e)
		case is != l.SHA256:
			err = fault.New(layout.ErrDigest, "its bytes are %s, want %s", is, l.SHA256)
		case err == nil && got != p.config.DiffIDs[i]:
			err = fault.New(layout.ErrDigest, "unpacked it is %s, the config's diff_id is %s", got, p.config.DiffIDs[i])
		}
	}
	if err != nil {
		return fmt.Errorf("layer %d: %w", i, err)
	}
	return nil
}

// unpack reads a layer to its end and returns the hash of its plain bytes.
func unpack(ctx context.Context, how layout.Compression, r io.Reader, limit int64, visit visitor) (cid.Hash, error) {
	plain, end, err := decompress(how, r)
	if err != nil {
		return cid.Hash{}, err
	}
	defer end()
	content := &hashed{r: plain, h: sha256.New(), limit: limit + headRoom}
	if err := entries(ctx, content, visit); err != nil {
		return cid.Hash{}, err
	}
	if _, err := io.Copy(io.Discard, content); err != nil { // what follows the end of the archive is hashed too
		return cid.Hash{}, unreadable(err)
	}
	return content.sum(), nil
}

// entries reads a tar stream to its end.
func entries(ctx context.Context, r io.Reader, visit visitor) error {
	t := tar.NewReader(r)
	for place := 0; ; place++ {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, tar.ErrInsecurePath):
			return unreadable(err)
		case place > maxEntries:
			return fault.New(ErrLimit, "more than %d entries", maxEntries)
		case h.Typeflag == tar.TypeXGlobalHeader:
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := visit(h, place, t); err != nil {
			return err
		}
	}
}

// unreadable names an error of a layer's encoding, and leaves others as they are.
func unreadable(err error) error {
	if fault.CodeOf(err) != "" || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.New(layout.ErrInvalid, "it cannot be read: %w", err)
}

// decompress returns the tar stream of a layer; the returned function ends it.
func decompress(how layout.Compression, r io.Reader) (io.Reader, func(), error) {
	switch how {
	case layout.Gzip:
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, unreadable(err)
		}
		return z, func() { _ = z.Close() }, nil
	case layout.Zstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, unreadable(err)
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

// hashed hashes what is read. With a limit, more is ErrLimit.
type hashed struct {
	r     io.Reader
	h     hash.Hash
	n     int64
	limit int64
}

func (x *hashed) Read(p []byte) (int, error) {
	n, err := x.r.Read(p)
	x.h.Write(p[:n])
	if x.n += int64(n); x.limit > 0 && x.n > x.limit {
		return 0, fault.New(ErrLimit, "unpacked, it has more than %d bytes", x.limit)
	}
	return n, err
}

func (x *hashed) sum() cid.Hash { return cid.Hash(x.h.Sum(nil)) }

// stopping ends a read when ctx does.
type stopping struct {
	ctx context.Context
	r   io.Reader
}

func (s stopping) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// plan works out the tree that the layers make. It reads and hashes every byte
// and writes none.
func (p *parts) plan(ctx context.Context, limit int64, open opener) (*plan, error) {
	t := newPlan(limit)
	for i := range p.manifest.Layers {
		t.begin()
		err := p.layer(ctx, i, limit, open, func(h *tar.Header, place int, body io.Reader) error {
			n, err := t.apply(h, place)
			if n == nil || err != nil {
				return err
			}
			sum := sha256.New()
			body = io.TeeReader(body, sum)
			if n.exec {
				if _, err := io.ReadFull(body, n.head[:]); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					return unreadable(err)
				}
			}
			if _, err := io.Copy(io.Discard, body); err != nil {
				return unreadable(err)
			}
			n.sha256 = cid.Hash(sum.Sum(nil))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return t, t.finish()
}
