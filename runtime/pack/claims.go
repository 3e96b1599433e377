package pack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/pack/archive"
)

var (
	_ gate.Attested = (*folder)(nil)
	_ gate.Attested = (*archived)(nil)
)

// statements reads the attestations among names, of a package in path.
func statements(ctx context.Context, path string, names []string, read func(name string, limit int) ([]byte, error)) ([]gate.Statement, error) {
	var list []gate.Statement
	for _, name := range names {
		id, ok := archive.ParseClaimName(name)
		if !ok {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(list) == gate.MaxAttestations {
			return nil, fault.New(manifest.ErrAttestation, "more than %d attestations", gate.MaxAttestations).About(path)
		}
		raw, err := read(name, gate.MaxAttestation)
		if errors.Is(err, manifest.ErrLimit) {
			err = fault.New(manifest.ErrAttestation, "more than %d bytes", gate.MaxAttestation).About(name)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, gate.Statement{ID: id, Raw: raw})
	}
	return list, nil
}

// Attestations implements gate.Attested.
func (s *folder) Attestations(ctx context.Context) ([]gate.Statement, error) {
	return statements(ctx, s.path, s.files, s.file)
}

// Attestations implements gate.Attested.
func (s *archived) Attestations(ctx context.Context) ([]gate.Statement, error) {
	var names []string
	for _, e := range s.a.Entries() {
		names = append(names, e.Path)
	}
	return statements(ctx, s.path, names, s.file)
}

// Attach puts an attestation beside the manifest of the packed folder or archive at
// path, or in the image layout, which is changed in one step. The caller has verified
// both, and that the package has room for one more.
func Attach(ctx context.Context, path string, s gate.Statement) error {
	if IsLayout(path) {
		return attachToLayout(ctx, path, s.Raw)
	}
	info, err := os.Stat(path)
	if err != nil {
		return unreadable(err, path)
	}
	if !info.IsDir() {
		return attachToArchive(ctx, path, s)
	}
	file := filepath.Join(path, filepath.FromSlash(archive.ClaimName(s.ID)))
	if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fault.New(ErrIO, "%w", err)
	}
	if err := atomicfile.Write(file, s.Raw, 0o644); err != nil {
		return fault.New(ErrIO, "%w", err)
	}
	return nil
}

// attachToArchive writes the archive anew, with one file more.
func attachToArchive(ctx context.Context, path string, s gate.Statement) (err error) {
	old, err := os.Open(path)
	if err != nil {
		return unreadable(err, path)
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	info, err := old.Stat()
	if err != nil {
		return unreadable(err, path)
	}
	from, err := archive.Open(ctx, old, info.Size(), archive.Limits{})
	if err != nil {
		return aboutFile(err, path)
	}
	f, err := atomicfile.Create(path, info.Mode().Perm())
	if err != nil {
		return fault.New(ErrIO, "%w", err)
	}
	defer f.Close()
	if err := rewrite(ctx, archive.NewWriter(f, archive.Limits{}), from, archive.ClaimName(s.ID), s.Raw); err != nil {
		return aboutFile(err, path)
	}
	if err := f.Commit(); err != nil {
		return fault.New(ErrIO, "%w", err)
	}
	return nil
}

// rewrite copies an archive and adds a file, unless it is there.
func rewrite(ctx context.Context, w *archive.Writer, from *archive.Archive, name string, content []byte) error {
	names := []string{name}
	for _, e := range from.Entries() {
		if e.Path != name {
			names = append(names, e.Path)
		}
	}
	slices.SortFunc(names, strings.Compare)
	for _, n := range names {
		var r io.Reader = bytes.NewReader(content)
		size := int64(len(content))
		if n != name {
			section, _ := from.File(n)
			r, size = stopping{ctx, section}, section.Size()
		}
		if err := w.Add(n, size, r); err != nil {
			return err
		}
	}
	return w.Close()
}
