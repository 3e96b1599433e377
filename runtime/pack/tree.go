package pack

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// ignoreName is the file in a tree's folder that says what stays out.
const ignoreName = ".mythosignore"

// Bounds of an ignore file.
const (
	maxIgnore      = 64 << 10 // bytes
	maxIgnoreLines = 1000
)

// tree packs the regular files of a folder as a Tree (RFC-MYTHOS-0006 §5) and
// returns its cid.
func (c *collector) tree(dir, show string) (cid.Hash, error) {
	paths, err := c.treePaths(dir)
	if err != nil {
		return cid.Hash{}, err
	}
	var t manifest.Tree
	for _, p := range paths {
		e, err := c.treeEntry(dir, p)
		if err != nil {
			return cid.Hash{}, err
		}
		t.Entries = append(t.Entries, e)
		c.copies = append(c.copies, copyOf{show + "/" + p, e.SHA256})
	}
	if err := t.Validate(); err != nil {
		return cid.Hash{}, aboutSource(err, dir)
	}
	id, err := c.add(manifest.KindTree, mediaTree, dir, bytes.NewReader(t.AppendCAN(nil)))
	return id.CID, err
}

func (c *collector) treeEntry(dir, p string) (manifest.TreeEntry, error) {
	full := path.Join(dir, p)
	if err := c.secretName(full); err != nil {
		return manifest.TreeEntry{}, err
	}
	f, err := openFile(c.root, full)
	if err != nil {
		return manifest.TreeEntry{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return manifest.TreeEntry{}, err
	}
	id, err := c.object(full, f)
	if err != nil {
		return manifest.TreeEntry{}, err
	}
	e := manifest.TreeEntry{Path: p, CID: id.CID, Size: id.Size, SHA256: id.SHA256}
	if info.Mode()&0o100 != 0 {
		e.Mode = 1
	}
	return e, nil
}

// treePaths lists the files of a folder, ascending, but for what its ignore
// file names.
func (c *collector) treePaths(dir string) ([]string, error) {
	ignored, err := c.ignore(dir)
	if err != nil {
		return nil, err
	}
	if info, err := c.root.Stat(filepath.FromSlash(dir)); errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(ErrSourceAbsent, "no such folder").About(dir)
	} else if err != nil || !info.IsDir() {
		return nil, fault.New(ErrSource, "not a folder inside the source").About(dir)
	}
	var paths []string
	err = fs.WalkDir(c.root.FS(), dir, func(full string, d fs.DirEntry, err error) error {
		if err = errors.Join(err, c.ctx.Err()); err != nil || full == dir {
			return err
		}
		p := strings.TrimPrefix(full, dir+"/")
		switch {
		case ignored(p, d.IsDir()) && d.IsDir():
			return fs.SkipDir
		case ignored(p, d.IsDir()), d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return fault.New(ErrSource, "a link or special file; a tree holds only regular files").About(full)
		case len(paths) == manifest.MaxTreeFiles:
			return fault.New(manifest.ErrTree, "more than %d files", manifest.MaxTreeFiles).About(dir)
		}
		paths = append(paths, p)
		return nil
	})
	slices.Sort(paths)
	return paths, err
}

// ignore reads the ignore file of a folder, if there is one. The folder .git
// and the file itself always stay out.
func (c *collector) ignore(dir string) (func(p string, folder bool) bool, error) {
	var patterns []ignorePattern
	name := path.Join(dir, ignoreName)
	raw, err := readSource(c.root, name, maxIgnore)
	if errors.Is(err, ErrSourceAbsent) {
		raw, err = nil, nil
	}
	if err == nil && !utf8.Valid(raw) {
		err = fault.New(ErrSource, "not UTF-8").About(name)
	}
	if err != nil {
		return nil, err
	}
	lines := 0
	for line := range strings.Lines(string(raw)) {
		if lines++; lines > maxIgnoreLines {
			return nil, fault.New(ErrSource, "more than %d lines", maxIgnoreLines).About(name)
		}
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '!':
			return nil, fault.New(ErrSource, "line %d: a pattern cannot be negated", lines).About(name)
		default:
			patterns = append(patterns, parseIgnore(line))
		}
	}
	return func(p string, folder bool) bool {
		base := path.Base(p)
		return folder && base == ".git" || p == ignoreName ||
			slices.ContainsFunc(patterns, func(x ignorePattern) bool { return x.matches(p, folder) })
	}, nil
}

// ignorePattern is one line of an ignore file.
type ignorePattern struct {
	folders  bool // matches folders only
	anywhere bool // matches the last segment, wherever it stands
	text     *regexp.Regexp
}

// parseIgnore reads a pattern: * within a segment, ** across segments, a final
// slash for folders only. Without any other slash it matches names at every
// depth, else paths from the tree's root.
func parseIgnore(line string) ignorePattern {
	body, folders := strings.CutSuffix(line, "/")
	x := ignorePattern{folders: folders, anywhere: !strings.Contains(body, "/") && !strings.Contains(body, "**")}
	var b strings.Builder
	b.WriteString("^")
	for rest := strings.TrimPrefix(body, "/"); rest != ""; {
		switch {
		case strings.HasPrefix(rest, "**/"):
			b.WriteString("(?:[^/]+/)*")
			rest = rest[3:]
		case strings.HasPrefix(rest, "**"):
			b.WriteString(".*")
			rest = rest[2:]
		case rest[0] == '*':
			b.WriteString("[^/]*")
			rest = rest[1:]
		default:
			_, n := utf8.DecodeRuneInString(rest)
			b.WriteString(regexp.QuoteMeta(rest[:n]))
			rest = rest[n:]
		}
	}
	b.WriteString("$")
	x.text = regexp.MustCompile(b.String())
	return x
}

func (x ignorePattern) matches(p string, folder bool) bool {
	if x.folders && !folder {
		return false
	}
	if x.anywhere {
		p = path.Base(p)
	}
	return x.text.MatchString(p)
}
