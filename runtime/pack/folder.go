package pack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/pack/archive"
)

// maxFiles bounds the files and folders of a packed folder: those of an archive
// and as many copies.
const maxFiles = 2 * archive.DefaultMaxEntries

// jsonName is the view of the manifest for people.
const jsonName = "manifest.json"

// folder is a package in a packed folder. Its root keeps every access inside.
type folder struct {
	path  string
	root  *os.Root
	files []string // slash-separated, ascending
}

func openFolder(ctx context.Context, dir string) (Source, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, unreadable(err, dir)
	}
	s := &folder{path: dir, root: root}
	if err := s.scan(ctx); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return s, nil
}

// scan finds out what kind of folder it is, and then lists it.
func (s *folder) scan(ctx context.Context) error {
	if !s.has(archive.ManifestName) && s.has(sourceName) {
		return fault.New(ErrUnpacked, "a source folder; first type: mythos pack %s -o OUT", shellWord(s.path)).About(s.path)
	}
	for _, name := range []string{archive.ManifestName, archive.SignaturesName} {
		if !s.has(name) {
			return fault.New(ErrFileMissing, "the folder has no %s", name).About(s.path)
		}
	}
	count := 0
	if err := s.list(ctx, ".", &count); err != nil {
		return aboutFile(err, s.path)
	}
	slices.Sort(s.files)
	if err := manifest.CheckPaths(s.files); err != nil {
		return aboutFile(err, s.path)
	}
	return nil
}

// has reports whether there is anything of this name.
func (s *folder) has(name string) bool {
	_, err := s.root.Lstat(name)
	return err == nil
}

// list adds the files below dir. Every path is checked before it is entered, so
// the rule for paths bounds the depth.
func (s *folder) list(ctx context.Context, dir string, count *int) error {
	d, err := s.root.Open(dir)
	if err != nil {
		return unreadable(err, dir)
	}
	defer d.Close()
	for {
		entries, err := d.ReadDir(1024)
		if *count += len(entries); *count > maxFiles {
			return fault.New(manifest.ErrLimit, "more than %d files", maxFiles)
		}
		for _, e := range entries {
			if err := s.entry(ctx, path.Join(dir, e.Name()), e.Type(), count); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return ctx.Err()
		case err != nil:
			return unreadable(err, dir)
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

func (s *folder) entry(ctx context.Context, name string, kind fs.FileMode, count *int) error {
	if err := manifest.CheckPath(name); err != nil {
		return err
	}
	switch {
	case kind.IsDir():
		return s.list(ctx, name, count)
	case kind.IsRegular():
		s.files = append(s.files, name)
		return nil
	case kind&fs.ModeSymlink != 0:
		return fault.New(manifest.ErrPath, "a symbolic link; a package holds only files").About(name)
	}
	return fault.New(manifest.ErrPath, "a device, pipe or socket; a package holds only files").About(name)
}

// open opens a file of the folder, and only a file.
func (s *folder) open(name string) (*os.File, error) {
	local := filepath.FromSlash(name)
	// Before opening, for opening a pipe waits; after it, for it may be another.
	info, err := s.root.Lstat(local)
	if err == nil && info.Mode().IsRegular() {
		f, err := s.root.Open(local)
		if err != nil {
			return nil, err
		}
		if info, err = f.Stat(); err == nil && info.Mode().IsRegular() {
			return f, nil
		}
		return nil, errors.Join(err, fs.ErrNotExist, f.Close())
	}
	if err == nil {
		err = fs.ErrNotExist
	}
	return nil, err
}

func (s *folder) file(name string, limit int) ([]byte, error) {
	f, err := s.open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(ErrFileMissing, "the folder has no %s", name).About(s.path)
	case err != nil:
		return nil, unreadable(err, name)
	}
	defer f.Close()
	return readAll(f, limit, name)
}

func (s *folder) Manifest(_ context.Context, limit int) ([]byte, error) {
	return s.file(archive.ManifestName, limit)
}

func (s *folder) Signatures(_ context.Context, limit int) ([]byte, bool, error) {
	b, err := s.file(archive.SignaturesName, limit)
	return b, true, err
}

func (s *folder) Open(_ context.Context, id blob.ArtifactID) (io.ReadCloser, error) {
	name := archive.ObjectName(id.SHA256)
	f, err := s.open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, missing(name)
	case err != nil:
		return nil, unreadable(err, name)
	}
	return object{f, name}, nil
}

// object is a file whose read errors have a code.
type object struct {
	*os.File
	name string
}

func (o object) Read(p []byte) (int, error) {
	n, err := o.File.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = unreadable(err, o.name)
	}
	return n, err
}

// WriteTo is there so that io.Copy does not take the file's own, past Read.
func (o object) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{o})
}

// CheckContents reports files that the package does not name, and copies that
// are not what they show.
func (s *folder) CheckContents(ctx context.Context, c gate.Closure, limit int) []error {
	var out []error
	for _, name := range s.files {
		if err := s.checkFile(ctx, name, c); err != nil {
			out = append(out, err)
		}
		if len(out) == limit {
			break
		}
	}
	return out
}

func (s *folder) checkFile(ctx context.Context, name string, c gate.Closure) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case name == archive.ManifestName || name == archive.SignaturesName:
		return nil
	case name == jsonName:
		return s.checkJSON(c.Manifest)
	case path.Dir(name) == "ir" && strings.HasSuffix(name, ".bin"):
		return s.checkCopy(ctx, name, c, gate.UseIR)
	case strings.HasPrefix(name, "modules/"):
		return s.checkCopy(ctx, name, c, gate.UseModule)
	}
	if _, ok := archive.ParseClaimName(name); ok {
		return nil // the gate has verified it
	}
	if h, ok := archive.ParseObjectName(name); !ok || c.Objects[h] == 0 {
		return extraObject(name)
	}
	return nil
}

// checkJSON compares manifest.json with the view of manifest.bin.
func (s *folder) checkJSON(raw []byte) error {
	want, err := ManifestJSON(raw)
	if err != nil {
		return err
	}
	got, err := s.file(jsonName, len(want)+1)
	if errors.Is(err, manifest.ErrLimit) || err == nil && !bytes.Equal(got, want) {
		return fault.New(gate.ErrCopyDiffers, "it does not show manifest.bin").About(jsonName)
	}
	return err
}

// checkCopy hashes a copy and looks for content of that hash and use.
func (s *folder) checkCopy(ctx context.Context, name string, c gate.Closure, use gate.Use) error {
	f, err := s.open(name)
	if err != nil {
		return unreadable(err, name)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return unreadable(err, name)
	}
	differs := fault.New(gate.ErrCopyDiffers, "the package has no such content; objects/ holds what is loaded").About(name)
	// No signature speaks for copies: one of another length is not read, for a
	// file with holes can be as long as its maker likes.
	if c.Sizes[uint64(info.Size())]&use == 0 {
		return differs
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(stopping{ctx, f}, info.Size())); err != nil {
		return unreadable(err, name)
	}
	if c.Objects[cid.Hash(h.Sum(nil))]&use == 0 {
		return differs
	}
	return nil
}

func (s *folder) Close() error { return s.root.Close() }

// ManifestJSON returns the content of manifest.json: the named view of
// manifest.bin, indented by two spaces, with a final line feed.
func ManifestJSON(raw []byte) ([]byte, error) {
	line, err := view.JSON("PackageManifest", raw)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, line, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// shellWord returns path as one word of a shell's command line.
func shellWord(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path
	}
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:,@%", r)
	}
	if path != "" && strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
