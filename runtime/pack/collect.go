package pack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/pack/archive"
)

// Folders of the folder form.
const (
	objectsDir = "objects"
	irDir      = "ir"
	modulesDir = "modules"
	claimsDir  = "claims"
)

const copyBuffer = 256 << 10 // bytes

// Media types that pack writes (RFC-MYTHOS-0006 §3).
const (
	mediaIR     = "application/vnd.mythos.ir"
	mediaWasm   = "application/wasm"
	mediaBinary = "application/octet-stream"
	mediaTree   = "application/vnd.mythos.tree"
	mediaPolicy = "application/vnd.mythos.policy"
	mediaSchema = "application/schema+json"
	mediaText   = "text/plain; charset=utf-8"
)

// docMediaType is the media type of a doc, by the end of its name.
func docMediaType(path string) string {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".md":
		return "text/markdown"
	case ".txt":
		return "text/plain"
	case ".html":
		return "text/html"
	case ".json":
		return "application/json"
	case ".pdf":
		return "application/pdf"
	}
	return mediaBinary
}

// collector reads the sources, each once, into the objects of a staging folder.
// What it has hashed is what is packed, whatever happens to the source
// meanwhile.
type collector struct {
	ctx          context.Context
	root         *os.Root // the source folder
	staging      string
	allowSecrets bool

	artifacts map[cid.Hash]manifest.Artifact // by cid
	copies    []copyOf
}

// copyOf is a file for people in the folder form.
type copyOf struct {
	path   string // slash-separated
	object cid.Hash
}

func newCollector(ctx context.Context, root *os.Root, staging string, allowSecrets bool) (*collector, error) {
	c := &collector{ctx: ctx, root: root, staging: staging, allowSecrets: allowSecrets, artifacts: map[cid.Hash]manifest.Artifact{}}
	return c, makeDir(filepath.Join(staging, objectsDir))
}

// makeDir makes one folder with mode 0755, whatever the umask.
func makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// writeFile makes one file with mode 0644, whatever the umask, from r.
func writeFile(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	// Without the file's own ReadFrom, whose buffer is small.
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{r}, make([]byte, copyBuffer))
	return errors.Join(err, f.Chmod(0o644), f.Close())
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

// object stores content as an object and returns its id. what names it in
// complaints.
func (c *collector) object(what string, r io.Reader) (blob.ArtifactID, error) {
	limited := &io.LimitedReader{R: stopping{c.ctx, r}, N: manifest.MaxArtifactSize + 1}
	scan := &secretScan{}
	temp := filepath.Join(c.staging, objectsDir, ".incoming")
	id, err := writeAndHash(temp, io.TeeReader(limited, scan))
	switch {
	case err != nil:
		return blob.ArtifactID{}, err
	case limited.N == 0:
		return blob.ArtifactID{}, fault.New(manifest.ErrLimit, "more than %d bytes", uint64(manifest.MaxArtifactSize)).About(what)
	case scan.what != "" && !c.allowSecrets:
		return blob.ArtifactID{}, fault.New(ErrSecret, "it holds what looks like %s", scan.what).About(what)
	}
	return id, os.Rename(temp, c.objectPath(id.SHA256))
}

// writeAndHash writes a file and hashes at the same time what it writes.
func writeAndHash(path string, r io.Reader) (blob.ArtifactID, error) {
	out, in := io.Pipe()
	var id blob.ArtifactID
	var hashing sync.WaitGroup
	hashing.Go(func() {
		var err error
		id, err = blob.WriteArtifact(out, nil)
		_ = out.CloseWithError(err) // always nil
	})
	err := writeFile(path, io.TeeReader(r, in))
	_ = in.CloseWithError(err) // always nil
	hashing.Wait()
	return id, err
}

func (c *collector) objectPath(sha256 cid.Hash) string {
	return filepath.Join(c.staging, filepath.FromSlash(archive.ObjectName(sha256)))
}

// add makes content an artifact. Equal content of one kind is one artifact, and
// the first decides its media type.
func (c *collector) add(kind uint8, mediaType, what string, r io.Reader) (blob.ArtifactID, error) {
	id, err := c.object(what, r)
	if err != nil {
		return id, err
	}
	old, ok := c.artifacts[id.CID]
	switch {
	case !ok:
		c.artifacts[id.CID] = manifest.Artifact{Kind: kind, CID: id.CID, MediaType: mediaType, Size: id.Size, SHA256: id.SHA256}
	case old.Kind != kind:
		return id, fault.New(ErrSource, "the same content is a %s and a %s artifact; an artifact has one kind", manifest.KindName(old.Kind), manifest.KindName(kind)).About(what)
	}
	return id, nil
}

// addFile makes a file of the source folder an artifact.
func (c *collector) addFile(kind uint8, mediaType, path string) (blob.ArtifactID, error) {
	if err := c.secretName(path); err != nil {
		return blob.ArtifactID{}, err
	}
	f, err := openFile(c.root, path)
	if err != nil {
		return blob.ArtifactID{}, err
	}
	defer f.Close()
	return c.add(kind, mediaType, path, f)
}

// openFile opens a regular file below root, and nothing else: a pipe would wait
// for ever.
func openFile(root *os.Root, path string) (*os.File, error) {
	name := filepath.FromSlash(path)
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(ErrSourceAbsent, "no such file").About(path)
	case err != nil:
		return nil, fault.New(ErrSource, "%w", err).About(path)
	case !info.Mode().IsRegular():
		return nil, fault.New(ErrSource, "not a regular file").About(path)
	}
	return root.Open(name)
}

// readSource reads a file below root of at most limit bytes.
func readSource(root *os.Root, path string, limit int64) ([]byte, error) {
	f, err := openFile(root, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fault.New(ErrSource, "more than %d bytes", limit).About(path)
	}
	return raw, err
}

// sorted returns the artifacts as the manifest lists them.
func (c *collector) sorted() []manifest.Artifact {
	out := make([]manifest.Artifact, 0, len(c.artifacts))
	for _, a := range c.artifacts {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b manifest.Artifact) int { return a.CID.Compare(b.CID) })
	return out
}

// finish writes the manifest and the copies for people.
func (c *collector) finish(m *manifest.Manifest, raw []byte) error {
	view, err := ManifestJSON(raw)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		archive.ManifestName: raw, archive.SignaturesName: m.AppendSig(nil), jsonName: view,
	} {
		if err := writeFile(filepath.Join(c.staging, name), bytes.NewReader(content)); err != nil {
			return err
		}
	}
	for _, x := range c.showable() {
		if err := c.writeCopy(x); err != nil {
			return err
		}
	}
	return nil
}

// showable returns the copies that may stand beside each other. Two tools'
// names can make one path, and a tree's path can be too long below that of its
// tool: copies are for people and may be absent.
func (c *collector) showable() []copyOf {
	var out []copyOf
	for _, x := range c.copies {
		if manifest.CheckPath(x.path) == nil {
			out = append(out, x)
		}
	}
	paths := make([]string, len(out))
	for i := range out {
		paths[i] = out[i].path
	}
	if manifest.CheckPaths(paths) != nil {
		return nil
	}
	return out
}

func (c *collector) writeCopy(x copyOf) error {
	to := filepath.Join(c.staging, filepath.FromSlash(x.path))
	if err := c.makeParents(filepath.Dir(to)); err != nil {
		return err
	}
	f, err := os.Open(c.objectPath(x.object))
	if err != nil {
		return err
	}
	defer f.Close()
	return writeFile(to, stopping{c.ctx, f})
}

func (c *collector) makeParents(dir string) error {
	if exists(dir) {
		return nil
	}
	if err := c.makeParents(filepath.Dir(dir)); err != nil {
		return err
	}
	return makeDir(dir)
}

// archive writes the archive of a folder form to f and checks it.
func (b *Built) archive(ctx context.Context, opt BuildOptions, staging string, f *os.File) error {
	objects, err := os.ReadDir(filepath.Join(staging, objectsDir))
	if err != nil {
		return err
	}
	names := []string{archive.ManifestName, archive.SignaturesName}
	for _, o := range objects { // ascending
		names = append(names, objectsDir+"/"+o.Name())
	}
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(f, sum), copyBuffer)
	w := archive.NewWriter(out, opt.Archive)
	for _, name := range names {
		if err := addEntry(ctx, w, staging, name); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := errors.Join(out.Flush(), f.Chmod(0o644), f.Sync()); err != nil {
		return err
	}
	b.ArchiveSHA256 = cid.Hash(sum.Sum(nil))
	return verify(ctx, opt, f.Name(), nil) // modules were checked in the folder
}

func addEntry(ctx context.Context, w *archive.Writer, staging, name string) error {
	f, err := os.Open(filepath.Join(staging, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return w.Add(name, info.Size(), stopping{ctx, f})
}
