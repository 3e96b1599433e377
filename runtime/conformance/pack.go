package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/ctvp"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Schema names of the documents.
const (
	PackSchema = "mythos.ctvp/1"      // manifest.json
	ImplSchema = "mythos.ctvp.impl/1" // the hello request
)

// The results that a vector may expect.
const (
	Valid      = "valid"
	Invalid    = "invalid"
	Acceptable = "acceptable"
)

// MaxLevel is the highest level: 0 is for everyone, 1 for optional features, 2
// for scripts that only full executors run.
const MaxLevel = 2

// Manifest is manifest.json.
type Manifest struct {
	Schema  string  `json:"schema"`
	Version string  `json:"version"`
	Suites  []Suite `json:"suites"`
	Vectors []Entry `json:"vectors"`
}

// Suite is a group of vectors.
type Suite struct {
	Name string `json:"name"`
	Spec string `json:"spec"`
	Doc  string `json:"doc"`
}

// Entry is what the manifest says about a vector.
type Entry struct {
	ID     string            `json:"id"`
	Suite  string            `json:"suite"`
	Spec   string            `json:"spec"`
	Level  int               `json:"level"`
	Result string            `json:"result"`
	Error  string            `json:"error,omitempty"` // the code, unless the result is valid
	Flags  []string          `json:"flags"`
	Files  map[string]string `json:"files"`  // paths in the pack; "vector" is the vector itself
	SHA256 map[string]string `json:"sha256"` // by the names of Files
}

// Vector is the file of a vector.
type Vector struct {
	ID     string          `json:"id"`
	Suite  string          `json:"suite"`
	Op     string          `json:"op"`
	Doc    string          `json:"doc"`
	Input  json.RawMessage `json:"input"`
	Expect Expect          `json:"expect"`
}

// Expect is what must be answered: Output if the result is valid, Error if it is
// invalid, either if it is acceptable.
type Expect struct {
	Output json.RawMessage `json:"output,omitempty"`
	Error  string          `json:"error,omitempty"`
	Offset *int            `json:"offset,omitempty"`
}

// Case is a vector that may be run.
type Case struct {
	Entry
	Vector Vector          // as it stands in its file
	Input  json.RawMessage // with files put in
	Expect Expect
}

// Pack is a pack that was read whole and is undamaged.
type Pack struct {
	Manifest Manifest
	Flags    map[string]string // why vectors with a flag exist
	Cases    []*Case           // in the manifest's order

	dir string
	v02 *manifestV02 // of a pack in the older layout, which has no Cases
}

// Older reports whether the pack has the layout of v0.2: its vectors name no
// ops, so only this build can run them.
func (p *Pack) Older() bool { return p.v02 != nil }

// Embedded returns the pack that this build carries.
func Embedded() (*Pack, error) {
	p, err := read(ctvp.Files())
	return p, packError(err, "the pack of this build")
}

// Open reads the pack in a folder, in either layout.
func Open(dir string) (*Pack, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.New(ErrPack, "%w", err).About(dir)
	}
	defer root.Close()
	p, err := read(root.FS())
	if err != nil {
		return nil, packError(err, dir)
	}
	p.dir = dir
	return p, nil
}

// packError says that a pack cannot be read or, if err has that code, that it is
// damaged.
func packError(err error, subject string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrDamaged):
		return fault.New(ErrDamaged, "%w", err).About(subject)
	}
	return fault.New(ErrPack, "%w", err).About(subject)
}

// read reads manifest.json and, unless it is an older one, everything else.
func read(fsys fs.FS) (*Pack, error) {
	b, err := readFile(fsys, "manifest.json")
	if err != nil {
		return nil, err
	}
	var which struct {
		Schema *string `json:"schema"`
	}
	if err := json.Unmarshal(b, &which); err != nil {
		return nil, fault.New(ErrPack, "manifest.json: %w", err)
	}
	if which.Schema == nil {
		m, err := readManifestV02(b)
		return &Pack{v02: &m}, err
	}
	p := &Pack{}
	if err := strictJSON(b, &p.Manifest); err != nil {
		return nil, fault.New(ErrPack, "manifest.json: %w", err)
	}
	if err := p.Manifest.check(); err != nil {
		return nil, fault.New(ErrDamaged, "manifest.json: %w", err)
	}
	return p, p.load(fsys)
}

var (
	suiteForm  = regexp.MustCompile(`^[a-z][a-z0-9]*$`)
	vectorForm = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*-[0-9]{3}$`)
)

// check holds the manifest against itself.
func (m *Manifest) check() error {
	if m.Schema != PackSchema {
		return fmt.Errorf("schema is %.80q, want %q", m.Schema, PackSchema)
	}
	if len(m.Vectors) == 0 || len(m.Vectors) > MaxVectors {
		return fmt.Errorf("%d vectors, want 1 to %d", len(m.Vectors), MaxVectors)
	}
	suites := map[string]bool{}
	for _, s := range m.Suites {
		if !suiteForm.MatchString(s.Name) || suites[s.Name] {
			return fmt.Errorf("suite %.80q is no name, or stands twice", s.Name)
		}
		suites[s.Name] = true
	}
	ids := map[string]bool{}
	for _, v := range m.Vectors {
		if ids[v.ID] {
			return fmt.Errorf("vector %s stands twice", v.ID)
		}
		ids[v.ID] = true
		if err := v.check(suites); err != nil {
			return fmt.Errorf("vector %.80q: %w", v.ID, err)
		}
	}
	return nil
}

func (e *Entry) check(suites map[string]bool) error {
	prefix := "vectors/" + e.Suite + "/" + e.ID + "."
	switch {
	case !vectorForm.MatchString(e.ID) || !strings.HasPrefix(e.ID, e.Suite+"-"):
		return errors.New("the id is not SUITE-WHAT-NNN")
	case !suites[e.Suite]:
		return fmt.Errorf("suite %.80q is not listed", e.Suite)
	case e.Level < 0 || e.Level > MaxLevel:
		return fmt.Errorf("level %d, want 0 to %d", e.Level, MaxLevel)
	case e.Result != Valid && e.Result != Invalid && e.Result != Acceptable:
		return fmt.Errorf("result %.80q", e.Result)
	case (e.Result == Valid) != (e.Error == ""):
		return fmt.Errorf("result %s with error %.80q", e.Result, e.Error)
	case e.Files["vector"] != prefix+"json":
		return fmt.Errorf("its file is %.200q, want %q", e.Files["vector"], prefix+"json")
	case len(e.Files) != len(e.SHA256):
		return fmt.Errorf("%d files and %d digests", len(e.Files), len(e.SHA256))
	}
	for name, file := range e.Files {
		if e.SHA256[name] == "" || !strings.HasPrefix(file, prefix) || path.Clean(file) != file {
			return fmt.Errorf("file %.80q: no digest, or the path %.200q is not of this vector", name, file)
		}
	}
	return nil
}

// readFile reads a regular file inside the pack, at most MaxFile bytes.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	name = path.Clean(name)
	info, err := fs.Stat(fsys, name) // before Open, which would wait for a pipe's writer
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fault.New(ErrPack, "not a regular file").About(name)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > MaxFile:
		return nil, fault.New(ErrPack, "larger than %d bytes", MaxFile).About(name)
	}
	return b, nil
}

// Case returns the vector with an id.
func (p *Pack) Case(id string) (*Case, error) {
	i := slices.IndexFunc(p.Cases, func(c *Case) bool { return c.ID == id })
	if i < 0 {
		return nil, fault.New(ErrVector, "the pack has no such vector").About(id)
	}
	return p.Cases[i], nil
}

// vector decodes the file of a vector, which must be what the manifest says.
func (c *Case) vector(b []byte) error {
	if err := strictJSON(b, &c.Vector); err != nil {
		return err
	}
	v := c.Vector
	switch {
	case v.ID != c.ID || v.Suite != c.Suite:
		return fmt.Errorf("it is vector %.80q of suite %.80q", v.ID, v.Suite)
	case v.Op == "" || v.Doc == "" || len(v.Input) == 0:
		return errors.New("op, doc or input is missing")
	case v.Expect.Error != c.Error:
		return fmt.Errorf("it expects error %.80q, the manifest says %.80q", v.Expect.Error, c.Error)
	case (v.Expect.Output == nil) != (c.Result == Invalid):
		return fmt.Errorf("result %s, and an output that is there: %t", c.Result, v.Expect.Output != nil)
	case v.Expect.Offset != nil && c.Result != Invalid:
		return errors.New("an offset belongs to an invalid vector")
	}
	c.Expect = v.Expect
	return nil
}

// put replaces {"$file": NAME} in the input by the bytes of the file, in hex.
func (c *Case) put(files map[string][]byte) error {
	if !bytes.Contains(c.Vector.Input, []byte(`"$file"`)) {
		c.Input = c.Vector.Input
		return nil
	}
	x, err := parseJSON(c.Vector.Input)
	if err != nil {
		return err
	}
	used := map[string]bool{"vector": true}
	if x, err = substitute(x, files, used); err != nil {
		return err
	}
	if len(used) != len(files) {
		return fmt.Errorf("%d files, and the input uses %d", len(files)-1, len(used)-1)
	}
	c.Input, err = json.Marshal(x)
	return err
}

func substitute(x any, files map[string][]byte, used map[string]bool) (any, error) {
	var err error
	switch x := x.(type) {
	case []any:
		for i := range x {
			if x[i], err = substitute(x[i], files, used); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		if name, ok := x["$file"].(string); ok && len(x) == 1 {
			b, ok := files[name]
			if !ok || name == "vector" {
				return nil, fmt.Errorf("the input names file %.80q, which the vector does not have", name)
			}
			used[name] = true
			return Hex(b), nil
		}
		for k := range x {
			if x[k], err = substitute(x[k], files, used); err != nil {
				return nil, err
			}
		}
	}
	return x, nil
}
