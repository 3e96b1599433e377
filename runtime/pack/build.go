package pack

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack/archive"
)

// BuildOptions say what Build packs, for whom and how it is checked.
type BuildOptions struct {
	Dir    string     // the source folder, with manifest.src.json; required
	Out    string     // the folder to write in, made if missing; required
	Signer sig.Signer // signs the package; required

	// Host is what the executor offers that will run the package: one that it
	// would refuse is not written. Version and Codebooks are required.
	Host manifest.Host

	// Kinds and CheckModule are those of gate.Options: a module that its runner
	// would refuse is not packed. CheckModule is required if a module is of a
	// kind in Kinds.
	Kinds       []uint8
	CheckModule gate.CheckModule

	// AllowSecrets packs what looks like a private key or a password.
	AllowSecrets bool

	// Log receives what build commands write; nil: only a failure shows it, cut
	// to its end.
	Log io.Writer

	// Archive bounds the archive; zero: its defaults.
	Archive archive.Limits
}

func (o *BuildOptions) check() error {
	switch {
	case o.Dir == "" || o.Out == "" || o.Signer == nil:
		return errors.New("pack: BuildOptions need Dir, Out and Signer")
	case o.Host.Version == "" || len(o.Host.Codebooks) == 0:
		return errors.New("pack: BuildOptions need Host.Version and Host.Codebooks")
	case len(o.Kinds) != 0 && o.CheckModule == nil:
		return errors.New("pack: BuildOptions with Kinds need CheckModule")
	}
	return nil
}

// Built is a package that was written.
type Built struct {
	Name, Version string
	PackageID     cid.Hash
	ManifestCID   cid.Hash
	Folder        string // OUT/NAME-VERSION
	Archive       string // OUT/NAME-VERSION.mythos.tgz
	ArchiveSHA256 cid.Hash
	Bindings      []manifest.ModuleBinding
}

// Build packs a source folder (RFC-MYTHOS-0006 §8). It writes the folder form
// and the archive, each whole or not at all, and only after both were opened
// again and passed the loading order with the signer as publisher. What is
// already there for the same name and version is replaced; anything else in
// the way is ErrOutput. The bytes written follow from the sources, from what
// the build commands make of them, and from the key.
func Build(ctx context.Context, opt BuildOptions) (*Built, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	b, err := buildPackage(ctx, opt)
	if err != nil {
		return nil, ioError(err)
	}
	return b, nil
}

// Outputs returns the paths, in a source folder, that the build commands of its
// modules write.
func Outputs(dir string) ([]string, error) {
	root, r, err := openSource(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var out []string
	for i := range r.modules {
		if r.modules[i].build != nil {
			out = append(out, r.modules[i].path)
		}
	}
	return out, nil
}

func buildPackage(ctx context.Context, opt BuildOptions) (*Built, error) {
	root, r, err := openSource(opt.Dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if err := runBuilds(ctx, opt, r); err != nil {
		return nil, err
	}
	info, err := os.Stat(opt.Out)
	if err == nil && !info.IsDir() {
		return nil, fault.New(ErrOutput, "a file; name a folder to write to").About(opt.Out)
	}
	made := errors.Is(err, fs.ErrNotExist)
	if err := atomicfile.MkdirAll(opt.Out, 0o755); err != nil {
		return nil, err
	}
	built, err := write(ctx, opt, root, r)
	if err != nil && made {
		_ = os.Remove(opt.Out) // only if it is empty, as it was before
	}
	return built, err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// noSource says what a folder without manifest.src.json is.
func noSource(root *os.Root, dir string) error {
	if _, err := root.Stat(archive.ManifestName); err == nil {
		return fault.New(ErrSourceAbsent, "a packed folder: name the folder that it was packed from").About(dir)
	}
	return fault.New(ErrSourceAbsent, "the folder has no %s", sourceName).About(dir)
}

// openSource opens the source folder, which nothing that is read leaves, and
// reads its recipe.
func openSource(dir string) (*os.Root, *recipe, error) {
	root, err := os.OpenRoot(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, fault.New(ErrSourceAbsent, "no such folder").About(dir)
	case err != nil && isFile(dir):
		return nil, nil, fault.New(ErrSourceAbsent, "a file; name the folder that holds %s", sourceName).About(dir)
	case err != nil:
		return nil, nil, err
	}
	if _, err := root.Stat(sourceName); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errors.Join(noSource(root, dir), root.Close())
	}
	raw, err := readSource(root, sourceName, maxSource+1)
	if err == nil {
		var r *recipe
		if r, err = readRecipe(raw); err == nil {
			return root, r, nil
		}
	}
	return nil, nil, errors.Join(err, root.Close())
}

// fileName is the name of a package's folder, and of its archive without the
// extension.
func (r *recipe) fileName() string {
	return strings.ReplaceAll(r.name, "/", "__") + "-" + r.version
}

// archiveExt ends the name of an archive.
const archiveExt = ".mythos.tgz"

// write makes both forms in temporary places in Out, checks them, and puts them
// in place.
func write(ctx context.Context, opt BuildOptions, root *os.Root, r *recipe) (*Built, error) {
	b := &Built{
		Name: r.name, Version: r.version,
		Folder:  filepath.Join(opt.Out, r.fileName()),
		Archive: filepath.Join(opt.Out, r.fileName()+archiveExt),
	}
	if info, err := os.Lstat(b.Archive); err == nil && !info.Mode().IsRegular() {
		return nil, fault.New(ErrOutput, "not a file; remove it first").About(b.Archive)
	}
	if info, err := os.Lstat(b.Folder); err == nil && !info.IsDir() {
		return nil, fault.New(ErrOutput, "not a folder; remove it first").About(b.Folder)
	}
	packed, err := os.CreateTemp(opt.Out, "."+r.fileName()+archiveExt+".tmp-*")
	if err != nil {
		return nil, err
	}
	// After the rename there is nothing of that name to remove.
	defer func() { _ = os.Remove(packed.Name()) }()
	defer packed.Close()
	forms := func(staging string) error {
		if err := b.fill(ctx, opt, root, r, staging); err != nil {
			return err
		}
		var inFolder error
		var checking sync.WaitGroup
		checking.Go(func() { inFolder = verify(ctx, opt, staging, opt.CheckModule) })
		inArchive := b.archive(ctx, opt, staging, packed)
		checking.Wait()
		return cmp.Or(inFolder, inArchive)
	}
	replace := func(dir string) error { return replaceable(dir, r.name, r.version) }
	if _, err := atomicfile.WriteTree(b.Folder, forms, atomicfile.Tree{Replace: replace}); err != nil {
		return nil, err
	}
	if err := os.Rename(packed.Name(), b.Archive); err != nil {
		return nil, err
	}
	return b, atomicfile.SyncDir(opt.Out)
}

// fill makes the folder form in staging.
func (b *Built) fill(ctx context.Context, opt BuildOptions, root *os.Root, r *recipe, staging string) error {
	c, err := newCollector(ctx, root, staging, opt.AllowSecrets)
	if err != nil {
		return err
	}
	m, err := c.manifest(r)
	if err != nil {
		return err
	}
	raw, err := manifest.Sign(m, opt.Signer)
	if err != nil {
		return err
	}
	if err := c.finish(m, raw); err != nil {
		return err
	}
	b.PackageID, b.ManifestCID, b.Bindings = m.PackageID, cid.Sum(raw), m.Modules
	return nil
}

// verify opens what was written and holds it against the loading order. Only
// the signer's key counts, as a dev key does for its own packages.
func verify(ctx context.Context, opt BuildOptions, path string, check gate.CheckModule) (err error) {
	src, err := Open(ctx, path, OpenOptions{Archive: opt.Archive})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	agent := opt.Signer.Agent()
	report, err := gate.Verify(ctx, src, gate.Options{
		Host: opt.Host, Kinds: opt.Kinds, CheckModule: check,
		Dev: &agent, Local: func(cid.Hash) bool { return true },
		Now: time.Unix(0, 0), // no entry of a trust file is asked
	})
	if err != nil {
		return err
	}
	if !report.OK() {
		f := report.Failures[0]
		return fault.New(f.Code, "%s", f.Message).About(f.Subject)
	}
	return nil
}

// replaceable reports whether dir may be replaced by a package: it must be
// nothing but a packed folder of the same name and version.
func replaceable(dir, name, version string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch e.Name() {
		case archive.ManifestName, archive.SignaturesName, jsonName, objectsDir, irDir, modulesDir:
		default:
			return fault.New(ErrOutput, "it holds %s, which no package does; move it away first", e.Name()).About(dir)
		}
	}
	u, err := claimsIn(dir)
	if err != nil {
		return fault.New(ErrOutput, "not a packed folder, so it is not replaced: %w", err).About(dir)
	}
	if c := u.Claims(); c.Name != name || c.Version != version {
		return fault.New(ErrOutput, "it holds %s %s; remove it first", c.Name, c.Version).About(dir)
	}
	return nil
}

// claimsIn reads what the manifest in a folder says.
func claimsIn(dir string) (*manifest.Unverified, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	raw, err := readSource(root, archive.ManifestName, manifest.MaxBytes)
	if err != nil {
		return nil, err
	}
	return manifest.Decode(raw)
}
