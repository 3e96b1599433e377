// Package scaffold writes the source folder of a new package, which mythos pack
// turns into a package as it is: a manifest source (RFC-MYTHOS-0006 §8), a
// program, one small tool in a language of choice with its test, a README, and a
// copy of the guest SDK, so that the folder depends on nothing that is published
// but the language's own compiler.
//
// The folder of a language under templates holds its files as text/template;
// templates/common holds those that all languages share. A template's name is
// its file's, followed by ".tmpl" and without a leading dot. parts.tmpl is no
// file: it defines what the shared ones take from the language.
package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/sdk"
)

// Codes of a folder that is not written.
const (
	ErrExists fault.Code = "init_exists"    // something is in the way
	ErrIO     fault.Code = "init_io_failed" // a file or folder cannot be written
)

// Version is the version that a new package begins with.
const Version = "0.1.0"

//go:embed templates
var templates embed.FS

// Options say which package to write, and where.
type Options struct {
	Lang string // one of Langs; required
	Name string // the package's; CheckName accepts it; required
	Dir  string // the folder to make, with its parents; required
}

// Written is a folder that was written.
type Written struct {
	Tool   string   // the name of the one tool
	Packed string   // how mythos pack names the package's folder
	Files  []string // paths below the folder, with slashes, ascending
}

// values are what the templates are filled in with.
type values struct {
	Name, Version, Tool string
	Packed              string // dist/NAME-VERSION, as pack -o dist makes it
}

// CheckName returns nil for a package name whose tool may be named after it.
func CheckName(name string) error {
	switch {
	case !manifest.CheckName(name):
		return fmt.Errorf("%.100q is no package name: lower-case letters and digits, joined by . _ - or /", name)
	case !manifest.CheckName(toolName(name)):
		return fmt.Errorf("the tool %q of this package would have a name of more than %d bytes", toolName(name), manifest.MaxName)
	case !manifest.CheckToolName(toolName(name)):
		return errors.New(`tools below "mythos/" are the executor's own; choose another name`)
	}
	return nil
}

func toolName(name string) string { return name + "/hello" }

// DefaultDir is the last segment of a package's name.
func DefaultDir(name string) string { return path.Base(name) }

// Write makes the folder, whole or not at all. It must not exist, or be empty.
func Write(o Options) (*Written, error) {
	if err := CheckName(o.Name); err != nil {
		return nil, err
	}
	l, err := find(o.Lang)
	if err != nil {
		return nil, err
	}
	w := &Written{Tool: toolName(o.Name), Packed: strings.ReplaceAll(o.Name, "/", "__") + "-" + Version}
	files, err := l.files(values{o.Name, Version, w.Tool, "dist/" + w.Packed})
	if err != nil {
		return nil, err
	}
	for name := range files {
		w.Files = append(w.Files, name)
	}
	slices.Sort(w.Files)
	return w, failed(place(o.Dir, files), o.Dir)
}

// place writes the files beside dir, then renames them into place.
func place(dir string, files map[string][]byte) error {
	if err := vacant(dir); err != nil {
		return err
	}
	if err := atomicfile.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	_, err := atomicfile.WriteTree(dir, func(staging string) error {
		for name, content := range files {
			at := filepath.Join(staging, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(at, content, 0o644); err != nil {
				return err
			}
		}
		return nil
	}, atomicfile.Tree{Replace: vacant})
	return err
}

// vacant refuses a path with something at it but an empty folder. The working
// folder counts as taken: renaming another into its place would leave whoever
// called in a folder that is gone.
func vacant(dir string) error {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fault.New(ErrExists, "there is something that is no folder").About(dir)
	}
	entries, err := os.ReadDir(dir)
	switch {
	case err != nil:
		return err
	case len(entries) > 0:
		return fault.New(ErrExists, "the folder is not empty: it holds %s", entries[0].Name()).About(dir)
	case working(dir):
		return fault.New(ErrExists, "that is the working folder; name one to make").About(dir)
	}
	return nil
}

// working reports whether dir is the working folder.
func working(dir string) bool {
	a, errA := os.Stat(dir)
	b, errB := os.Stat(".")
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// failed gives an error of the file system its code and its path.
func failed(err error, dir string) error {
	if err == nil || fault.CodeOf(err) != "" {
		return err
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		return fault.New(ErrIO, "%w", at.Err).About(at.Path)
	}
	return fault.New(ErrIO, "%w", err).About(dir)
}

// files returns the contents of all files, by path.
func (l *language) files(v values) (map[string][]byte, error) {
	set := template.New("").Option("missingkey=error")
	var names []string
	for _, dir := range []string{"common", l.name} {
		found, err := list(templates, path.Join("templates", dir))
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			text, err := fs.ReadFile(templates, path.Join("templates", dir, name))
			if err != nil {
				return nil, err
			}
			if _, err := set.New(name).Parse(string(text)); err != nil {
				return nil, err
			}
			names = append(names, name)
		}
	}
	out, err := l.copySDK()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if name == "parts.tmpl" {
			continue
		}
		var b bytes.Buffer
		if err := set.ExecuteTemplate(&b, name, v); err != nil {
			return nil, err
		}
		out[fileName(name)] = b.Bytes()
	}
	return out, nil
}

// fileName is the path of the file that a template makes.
func fileName(name string) string {
	dir, base := path.Split(strings.TrimSuffix(name, ".tmpl"))
	if base == "gitignore" || base == "mythosignore" {
		base = "." + base
	}
	return dir + base
}

// copySDK returns the files of the SDK but for its tests.
func (l *language) copySDK() (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, c := range l.sdk {
		names, err := list(sdk.Files(), c.from)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") || l.name == "rust" && path.Base(name) == "tests.rs" {
				continue
			}
			content, err := fs.ReadFile(sdk.Files(), path.Join(c.from, name))
			if err != nil {
				return nil, err
			}
			out[path.Join(c.to, name)] = content
		}
	}
	return out, nil
}

// list returns the paths of the files below dir, ascending. Of a file it is ".",
// which joined to the file's path is that path.
func list(files fs.FS, dir string) ([]string, error) {
	var names []string
	err := fs.WalkDir(files, dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := strings.TrimPrefix(strings.TrimPrefix(p, dir), "/")
		names = append(names, path.Clean(name))
		return nil
	})
	return names, err
}
