package pack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/pack/archive"
)

// Contents is what an open package says that it consists of. No signature of it was
// verified; that is for package gate.
type Contents struct {
	Name, Version string
	PackageID     cid.Hash
	ManifestCID   cid.Hash

	manifest *manifest.Unverified
	content  []blob.ArtifactID // artifacts and files of trees, each once, by SHA256
	claims   []gate.Statement
}

// FileName is the name that pack gives the package's folder: NAME-VERSION.
func (c *Contents) FileName() string {
	return strings.ReplaceAll(c.Name, "/", "__") + "-" + c.Version
}

// List reads the manifest of an open package and its trees.
func List(ctx context.Context, src Source) (*Contents, error) {
	raw, err := src.Manifest(ctx, manifest.MaxBytes)
	if err != nil {
		return nil, err
	}
	u, err := manifest.Decode(raw)
	if err == nil {
		err = u.Validate()
	}
	if err != nil {
		return nil, err
	}
	c := &Contents{
		Name: u.Claims().Name, Version: u.Claims().Version, PackageID: u.PackageID(), ManifestCID: u.CID(), manifest: u,
	}
	for i := range u.Claims().Artifacts {
		a := &u.Claims().Artifacts[i]
		c.content = append(c.content, a.ID())
		if a.Kind == manifest.KindTree {
			if err := c.addTree(ctx, src, a); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(c.content, func(a, b blob.ArtifactID) int { return a.SHA256.Compare(b.SHA256) })
	c.content = slices.CompactFunc(c.content, func(a, b blob.ArtifactID) bool { return a.SHA256 == b.SHA256 })
	if s, ok := src.(gate.Attested); ok {
		c.claims, err = s.Attestations(ctx)
	}
	return c, err
}

func (c *Contents) addTree(ctx context.Context, src Source, a *manifest.Artifact) error {
	if a.Size > manifest.MaxTreeEncoded {
		return fault.New(manifest.ErrTree, "the tree has %d bytes, at most %d", a.Size, manifest.MaxTreeEncoded).About("artifact " + a.CID.String())
	}
	var raw bytes.Buffer
	if err := copyContent(ctx, src, a.ID(), &raw); err != nil {
		return err
	}
	t, err := manifest.DecodeTree(raw.Bytes())
	if err != nil {
		return err
	}
	for i := range t.Entries {
		c.content = append(c.content, t.Entries[i].ID())
	}
	return nil
}

// copyContent writes content to w, and fails if it is not what id names.
func copyContent(ctx context.Context, src Source, id blob.ArtifactID, w io.Writer) error {
	rc, err := src.Open(ctx, id)
	if err != nil {
		return err
	}
	err = cas.Receive(ctx, w, rc, id.SHA256, int64(id.Size))
	return errors.Join(wrongContent(err), rc.Close())
}

// wrongContent gives an error of content the code that the gate would.
func wrongContent(err error) error {
	var source *cas.SourceError
	switch {
	case errors.Is(err, cas.ErrMismatch), errors.Is(err, cas.ErrCorrupt):
		return fault.New(manifest.ErrArtifactHash, "%w", err)
	case errors.As(err, &source):
		return source.Err
	}
	return err
}

// Copy stores the closure of an open package in chunks and nodes, its manifest last,
// and returns the manifest's CID. Content is held against its hashes; nobody's
// signature is.
func Copy(ctx context.Context, to cas.Putter, src Source) (cid.Hash, error) {
	c, err := List(ctx, src)
	if err != nil {
		return cid.Hash{}, err
	}
	for _, id := range c.content {
		rc, err := src.Open(ctx, id)
		if err != nil {
			return cid.Hash{}, err
		}
		got, err := cas.PutBlob(ctx, to, io.LimitReader(rc, int64(id.Size)+1))
		if err = errors.Join(wrongContent(err), rc.Close()); err != nil {
			return cid.Hash{}, err
		}
		if got != id {
			return cid.Hash{}, fault.New(manifest.ErrArtifactHash, "its content is that of %s", got.CID).About("artifact " + id.CID.String())
		}
	}
	return to.Put(ctx, c.manifest.Raw())
}

// pieces are the files of the folder form and the archive, but for objects.
func (c *Contents) pieces() map[string][]byte {
	files := map[string][]byte{
		archive.ManifestName: c.manifest.Raw(), archive.SignaturesName: c.manifest.Claims().AppendSig(nil),
	}
	for _, s := range c.claims {
		files[archive.ClaimName(s.ID)] = s.Raw
	}
	return files
}

// WriteFolder writes the folder form of an open package to OUT/NAME-VERSION, without
// the copies of IR and modules, whole or not at all, and returns the folder. One of
// the same name and version is replaced. Content is held against its hashes; nobody's
// signature is.
func WriteFolder(ctx context.Context, src Source, out string) (string, *Contents, error) {
	c, err := List(ctx, src)
	if err != nil {
		return "", nil, err
	}
	dir := filepath.Join(out, c.FileName())
	if info, err := os.Lstat(dir); err == nil && !info.IsDir() {
		return "", nil, fault.New(ErrOutput, "not a folder; remove it first").About(dir)
	}
	if err := atomicfile.MkdirAll(out, 0o755); err != nil {
		return "", nil, ioError(err)
	}
	_, err = atomicfile.WriteTree(dir, func(staging string) error { return c.fill(ctx, src, staging) },
		atomicfile.Tree{Replace: func(dir string) error { return replaceable(dir, c.Name, c.Version) }})
	return dir, c, ioError(err)
}

func (c *Contents) fill(ctx context.Context, src Source, staging string) error {
	files := c.pieces()
	var err error
	if files[jsonName], err = ManifestJSON(c.manifest.Raw()); err != nil {
		return err
	}
	if err := makeDir(filepath.Join(staging, objectsDir)); err != nil {
		return err
	}
	if len(c.claims) != 0 {
		if err := makeDir(filepath.Join(staging, claimsDir)); err != nil {
			return err
		}
	}
	for name, b := range files {
		if err := writeFile(filepath.Join(staging, filepath.FromSlash(name)), bytes.NewReader(b)); err != nil {
			return err
		}
	}
	for _, id := range c.content {
		if err := c.writeObject(ctx, src, id, filepath.Join(staging, filepath.FromSlash(archive.ObjectName(id.SHA256)))); err != nil {
			return err
		}
	}
	return nil
}

func (c *Contents) writeObject(ctx context.Context, src Source, id blob.ArtifactID, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = copyContent(ctx, src, id, f)
	return errors.Join(err, f.Chmod(0o644), f.Close())
}

// WriteArchive writes the archive of an open package to OUT/NAME-VERSION.mythos.tgz,
// as pack does, whole or not at all, and returns its path and SHA-256. Content is held
// against its hashes; nobody's signature is.
func WriteArchive(ctx context.Context, src Source, out string) (path string, sum cid.Hash, c *Contents, err error) {
	if c, err = List(ctx, src); err != nil {
		return "", sum, nil, err
	}
	path = filepath.Join(out, c.FileName()+archiveExt)
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return "", sum, nil, fault.New(ErrOutput, "not a file; remove it first").About(path)
	}
	if err := atomicfile.MkdirAll(out, 0o755); err != nil {
		return "", sum, nil, ioError(err)
	}
	f, err := atomicfile.Create(path, 0o644)
	if err != nil {
		return "", sum, nil, ioError(err)
	}
	defer f.Close()
	h := sha256.New()
	to := bufio.NewWriterSize(io.MultiWriter(f, h), copyBuffer)
	err = c.archive(ctx, src, archive.NewWriter(to, archive.Limits{}))
	if err == nil {
		err = to.Flush()
	}
	if err != nil {
		return "", sum, nil, ioError(err)
	}
	return path, cid.Hash(h.Sum(nil)), c, ioError(f.Commit())
}

func (c *Contents) archive(ctx context.Context, src Source, w *archive.Writer) error {
	files := c.pieces()
	names := slices.Collect(maps.Keys(files))
	ids := map[string]blob.ArtifactID{}
	for _, id := range c.content {
		name := archive.ObjectName(id.SHA256)
		ids[name], names = id, append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b, small := files[name]
		if small {
			if err := w.Add(name, int64(len(b)), bytes.NewReader(b)); err != nil {
				return err
			}
			continue
		}
		id := ids[name]
		rc, err := src.Open(ctx, id)
		if err != nil {
			return err
		}
		checked := cas.Verify(rc, id.SHA256, int64(id.Size))
		err = w.Add(name, int64(id.Size), stopping{ctx, checked})
		if err = errors.Join(wrongContent(err), checked.Close()); err != nil {
			return err
		}
	}
	return w.Close()
}

// ioError gives an error of the file system its code.
func ioError(err error) error {
	var at *fs.PathError
	switch {
	case err == nil, fault.CodeOf(err) != "", errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &at):
		return fault.New(ErrIO, "%w", at.Err).About(at.Path)
	}
	return fault.New(ErrIO, "%w", err)
}
