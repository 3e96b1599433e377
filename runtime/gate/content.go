package gate

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// MaxModule bounds a module that is loaded whole, in bytes.
const MaxModule = 512 << 20

// content reads from a Source and believes nothing.
type content struct{ Source }

// verify reads the content once and checks size and both hashes.
func (c content) verify(ctx context.Context, id blob.ArtifactID) error {
	rc, err := c.Open(ctx, id)
	if err != nil {
		return err
	}
	return errors.Join(manifest.CheckContent(id, stopping{ctx, rc}), rc.Close())
}

// load returns the content, checked, if it has at most limit bytes.
func (c content) load(ctx context.Context, id blob.ArtifactID, limit uint64) ([]byte, error) {
	if id.Size > limit {
		return nil, fault.New(manifest.ErrLimit, "%d bytes, at most %d can be loaded", id.Size, limit)
	}
	rc, err := c.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	// Grow by what comes, not by what is announced: the announcement is not yet
	// known to be true.
	_, err = io.Copy(&b, io.LimitReader(stopping{ctx, rc}, int64(id.Size)+1))
	if err = errors.Join(err, rc.Close()); err != nil {
		return nil, err
	}
	if err := manifest.CheckContent(id, bytes.NewReader(b.Bytes())); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// open streams the content; the bytes that complete it are handed out only once
// its SHA-256 is known to be right.
func (c content) open(ctx context.Context, id blob.ArtifactID) (io.ReadCloser, error) {
	rc, err := c.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	return &verified{cas.Verify(rc, id.SHA256, int64(id.Size)), id}, nil
}

// verified gives a store's verdict the package's code.
type verified struct {
	io.ReadCloser
	id blob.ArtifactID
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	if errors.Is(err, cas.ErrCorrupt) {
		err = fault.New(manifest.ErrArtifactHash, "%w", err).About("artifact " + v.id.CID.String())
	}
	return n, err
}

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
