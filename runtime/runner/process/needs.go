package process

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// loaderCache is where the dynamic loader finds libraries by name; with it the
// same names mean the same files inside and outside.
const loaderCache = "/etc/ld.so.cache"

// nodeBuiltins is where Debian keeps modules that its node loads at its start
// and that others compile in.
const nodeBuiltins = "/usr/share/nodejs"

// needs finds what an interpreter reads beside the module, as the package
// comment says.
func needs(ctx context.Context, i *Interpreter) ([]Need, error) {
	var c closure
	programs := []string{i.Path}
	c.add(i.Path, i.Path)
	switch i.Name {
	case "python3":
		more, err := c.python(ctx, i.Path)
		if err != nil {
			return nil, err
		}
		programs = append(programs, more...)
	case "node":
		if strings.HasPrefix(i.Path, "/usr/bin/") {
			c.addIfThere(nodeBuiltins)
		}
	}
	if err := c.libraries(ctx, programs); err != nil {
		return nil, err
	}
	return c.needs(), nil
}

// closure collects needs.
type closure struct{ list []Need }

// add takes a file or folder at target; what is a link is followed on this side.
func (c *closure) add(source, target string) {
	if real, err := filepath.EvalSymlinks(source); err == nil {
		c.list = append(c.list, Need{Source: real, Target: filepath.Clean(target)})
	}
}

func (c *closure) addIfThere(path string) {
	if _, err := os.Stat(path); err == nil {
		c.add(path, path)
	}
}

// needs returns what was collected, outer folders first, without what a folder
// already shows at the same place.
func (c *closure) needs() []Need {
	slices.SortFunc(c.list, func(a, b Need) int { return strings.Compare(a.Target, b.Target) })
	var out []Need
	for _, n := range c.list {
		covered := slices.ContainsFunc(out, func(o Need) bool {
			rest, below := strings.CutPrefix(n.Target, o.Target+"/")
			return n == o || below && o.Source != "" && n.Source == filepath.Join(o.Source, rest)
		})
		if !covered {
			out = append(out, n)
		}
	}
	return out
}

// python adds the standard library and hides what is installed beside it: a
// module brings its own packages. It returns the extension modules.
func (c *closure) python(ctx context.Context, path string) ([]string, error) {
	said, err := ask(ctx, nil, path, "-I", "-S", "-c",
		"import json, sysconfig as s; print(json.dumps([s.get_path('stdlib'), s.get_path('platstdlib')]))")
	if err != nil {
		return nil, err
	}
	var dirs []string
	if err := json.Unmarshal([]byte(said), &dirs); err != nil || len(dirs) != 2 {
		return nil, fault.New(ErrRuntime, "python does not say where its library is: %.200q", said).About(path)
	}
	var extensions []string
	for _, dir := range slices.Compact(dirs) {
		if !filepath.IsAbs(dir) || filepath.Dir(dir) == "/" {
			return nil, fault.New(ErrRuntime, "python's library cannot be in %q", dir).About(path)
		}
		c.addIfThere(dir)
		for _, extra := range []string{"site-packages", "dist-packages"} {
			if info, err := os.Lstat(filepath.Join(dir, extra)); err == nil && info.IsDir() {
				c.list = append(c.list, Need{Target: filepath.Join(dir, extra)})
			}
		}
		more, _ := filepath.Glob(filepath.Join(dir, "lib-dynload", "*.so"))
		extensions = append(extensions, more...)
	}
	return extensions, nil
}

// libraries adds the loader and the folders of all libraries that programs
// link, asking the loader itself where it finds them. A library that is already
// known by name is not asked for again.
func (c *closure) libraries(ctx context.Context, programs []string) error {
	loader := ""
	known := map[string]bool{}
	for n, program := range programs {
		interp, wanted, err := linked(program)
		if n > 0 && err != nil { // one extension module that cannot be read is not needed
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			if interp == "" {
				return nil // static
			}
			loader = interp
			c.add(loader, loader)
			c.addIfThere(loaderCache)
		}
		if n > 0 && !slices.ContainsFunc(wanted, func(w string) bool { return !known[w] }) {
			continue
		}
		said, err := ask(ctx, nil, loader, "--list", program)
		if n > 0 && err != nil { // its libraries are not installed, as with tkinter
			said = ""
		} else if err != nil {
			return err
		}
		for _, w := range wanted {
			known[w] = true
		}
		c.listed(said, loader, known)
	}
	return nil
}

// listed takes what the loader says: lines of "name => /path (address)".
func (c *closure) listed(said, loader string, known map[string]bool) {
	for line := range strings.Lines(said) {
		name, rest, found := strings.Cut(strings.TrimSpace(line), " => ")
		path, _, _ := strings.Cut(rest, " (")
		known[name] = true
		if !found || !filepath.IsAbs(path) || path == loader {
			continue
		}
		dir := filepath.Dir(path)
		c.add(dir, dir)
		if real, err := filepath.EvalSymlinks(path); err == nil {
			outside := filepath.Dir(real)
			if inside, err := filepath.EvalSymlinks(dir); err == nil && inside != outside {
				c.add(outside, outside)
			}
		}
	}
}

// linked returns the dynamic loader that an ELF file names, if any, and the
// libraries that it wants.
func linked(path string) (loader string, wanted []string, err error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		if p.Filesz > 4096 {
			return "", nil, fmt.Errorf("%s: its loader's name has %d bytes: %w", path, p.Filesz, fs.ErrInvalid)
		}
		b := make([]byte, p.Filesz)
		if _, err := p.ReadAt(b, 0); err != nil {
			return "", nil, err
		}
		loader = strings.TrimRight(string(b), "\x00")
	}
	wanted, err = f.ImportedLibraries()
	if errors.Is(err, elf.ErrNoSymbols) {
		err = nil
	}
	return loader, wanted, err
}
