package pack

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/pack/archive"
)

// archived is a package in an archive. Nothing in it is compressed, so content
// is read from the archive itself; no temporary copy is made.
type archived struct {
	path string
	f    *os.File
	a    *archive.Archive
}

func openArchive(ctx context.Context, path string, limits archive.Limits) (Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err, path)
	}
	s := &archived{path: path, f: f}
	if err := s.scan(ctx, limits); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (s *archived) scan(ctx context.Context, limits archive.Limits) error {
	info, err := s.f.Stat()
	if err != nil {
		return unreadable(err, s.path)
	}
	if err := s.looksRight(); err != nil {
		return err
	}
	if s.a, err = archive.Open(ctx, s.f, info.Size(), limits); err != nil {
		return aboutFile(err, s.path)
	}
	for _, name := range []string{archive.ManifestName, archive.SignaturesName} {
		if _, ok := s.a.File(name); !ok {
			return fault.New(ErrFileMissing, "the archive has no %s", name).About(s.path)
		}
	}
	return nil
}

// looksRight refuses a file that never was an archive in words that say so,
// rather than by the first rule of archives that it breaks.
func (s *archived) looksRight() error {
	var magic [2]byte
	switch n, err := s.f.ReadAt(magic[:], 0); {
	case err != nil && !errors.Is(err, io.EOF):
		return unreadable(err, s.path)
	case n == len(magic) && magic != [2]byte{0x1f, 0x8b}:
		return fault.New(archive.ErrNotCanonical, "not an archive: a .mythos.tgz begins with the bytes 1f 8b").About(s.path)
	}
	return nil
}

// aboutFile names the archive or folder, and keeps what an error says of a file
// in it.
func aboutFile(err error, path string) error {
	var e *fault.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Subject != "" {
		path += ", " + e.Subject
	}
	return e.About(path)
}

func tooLong(name string, limit int) error {
	return fault.New(manifest.ErrLimit, "more than %d bytes", limit).About(name)
}

func (s *archived) file(name string, limit int) ([]byte, error) {
	r, ok := s.a.File(name)
	if !ok {
		return nil, fault.New(ErrFileMissing, "the archive has no %s", name).About(s.path)
	}
	return readAll(r, limit, name)
}

func (s *archived) Manifest(_ context.Context, limit int) ([]byte, error) {
	return s.file(archive.ManifestName, limit)
}

func (s *archived) Signatures(_ context.Context, limit int) ([]byte, bool, error) {
	b, err := s.file(archive.SignaturesName, limit)
	return b, true, err
}

func (s *archived) Open(_ context.Context, id blob.ArtifactID) (io.ReadCloser, error) {
	name := archive.ObjectName(id.SHA256)
	r, ok := s.a.File(name)
	if !ok {
		return nil, missing(name)
	}
	return inArchive{r}, nil
}

// inArchive is a file of an archive, whose reader may go to any place in it.
type inArchive struct{ *io.SectionReader }

func (inArchive) Close() error { return nil }

func missing(name string) error {
	return fault.New(gate.ErrArtifactMissing, "%s is not there", name)
}

// CheckContents reports the objects that the package does not name.
func (s *archived) CheckContents(_ context.Context, c gate.Closure, limit int) []error {
	var out []error
	for _, e := range s.a.Entries() {
		if h, ok := archive.ParseObjectName(e.Path); ok && c.Objects[h] == 0 && len(out) < limit {
			out = append(out, extraObject(e.Path))
		}
	}
	return out
}

func extraObject(path string) error {
	return fault.New(gate.ErrArtifactExtra, "the manifest names no such content").About(path)
}

func (s *archived) Close() error { return s.f.Close() }
