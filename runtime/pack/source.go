package pack

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/codebook"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// recipe is a manifest.src.json, read (RFC-MYTHOS-0006 §8). Paths are those of
// the source, checked, and not yet looked at.
type recipe struct {
	name, version string
	requires      manifest.Requires
	irs           []irRecipe
	entrypoints   []entryRecipe
	modules       []moduleRecipe
	policies      []string
	schemas, docs []fileRecipe
}

type irRecipe struct{ name, path string }

type entryRecipe struct{ name, ir, task, doc string }

type fileRecipe struct{ path, mediaType string }

type moduleRecipe struct {
	tool           manifest.Tool // its artifacts are not set yet
	description    string
	requestSchema  string
	responseSchema string
	variant        string
	path           string // of the file or folder, build's output included
	build          *buildRecipe
	module         manifest.ModuleRef // its cid is not set yet
}

type buildRecipe struct {
	command []string
	env     []string // NAME=value, ascending
}

// Bounds of what a source may ask for beyond those of the manifest.
const (
	maxCommand = 256 // words of a build command
	maxEnv     = 64
)

// readRecipe reads manifest.src.json.
func readRecipe(raw []byte) (*recipe, error) {
	root, err := parseJSON(raw)
	if err != nil {
		return nil, err
	}
	f := &fields{raw: raw}
	r := f.recipe(root)
	return r, f.err
}

func (f *fields) recipe(root *jsonNode) *recipe {
	o := f.object(root, "a package", []string{"name", "version", "ir", "entrypoints"},
		[]string{"requires", "features", "modules", "policies", "schemas", "docs"})
	if o == nil {
		return nil
	}
	r := &recipe{name: f.text(o["name"], "name"), version: f.text(o["version"], "version")}
	if f.err == nil && !manifest.CheckName(r.name) {
		f.fail(o["name"], "name: want lower-case words of a-z and 0-9 joined by . _ / or -, at most %d bytes", manifest.MaxName)
	}
	if _, err := manifest.ParseVersion(r.version); f.err == nil && err != nil {
		f.fail(o["version"], "version: %w", err)
	}
	r.requires = f.requires(o["requires"])
	r.requires.Features = f.texts(o["features"], "features", false)
	slices.Sort(r.requires.Features)
	r.irs = f.irs(o["ir"])
	r.entrypoints = f.entries(o["entrypoints"], r.irs)
	for _, n := range f.list(o["modules"], "modules") {
		r.modules = append(r.modules, f.module(n))
	}
	for _, n := range f.list(o["policies"], "policies") {
		r.policies = append(r.policies, f.path(n, "policies"))
	}
	r.schemas = f.files(o["schemas"], "schemas", func(string) string { return mediaSchema })
	r.docs = f.files(o["docs"], "docs", docMediaType)
	return r
}

func (f *fields) requires(n *jsonNode) manifest.Requires {
	out := manifest.Requires{ExecutorMinVersion: "0.1.0", CodebookID: codebook.BaselineID()}
	if n == nil {
		return out
	}
	o := f.object(n, "requires", nil, []string{"executor_min_version", "codebook_id", "ctvp_id"})
	out.ExecutorMinVersion = cmp.Or(f.filled(o["executor_min_version"], "executor_min_version"), out.ExecutorMinVersion)
	if id := o["codebook_id"]; id != nil {
		out.CodebookID = f.hash(id, "codebook_id")
	}
	if id := o["ctvp_id"]; id != nil {
		h := f.hash(id, "ctvp_id")
		out.CTVPID = &h
	}
	return out
}

func (f *fields) hash(n *jsonNode, what string) cid.Hash {
	h, err := cid.Parse(f.text(n, what))
	if err != nil {
		f.fail(n, "%s: %w", what, err)
	}
	return h
}

// path reads a path relative to the source folder.
func (f *fields) path(n *jsonNode, what string) string {
	p := f.text(n, what)
	if err := manifest.CheckPath(p); f.err == nil && err != nil {
		f.fail(n, "%s: %w", what, err)
	}
	return p
}

func (f *fields) irs(n *jsonNode) []irRecipe {
	var out []irRecipe
	for _, item := range f.list(n, "ir") {
		o := f.object(item, "an ir", []string{"name", "path"}, nil)
		if o == nil {
			return nil
		}
		r := irRecipe{f.text(o["name"], "name"), f.path(o["path"], "path")}
		switch {
		case f.err != nil:
			return nil
		case !manifest.CheckWord(r.name):
			f.fail(o["name"], "name: want lower-case words of a-z and 0-9 joined by . _ or -, at most %d bytes", manifest.MaxWord)
		case slices.ContainsFunc(out, func(x irRecipe) bool { return x.name == r.name }):
			f.fail(o["name"], "two irs are called %s", r.name)
		case !slices.Contains([]string{".mir", ".json", ".bin"}, path.Ext(r.path)):
			f.fail(o["path"], "path: want a file that ends in .mir, .json or .bin")
		}
		out = append(out, r)
	}
	return out
}

func (f *fields) entries(n *jsonNode, irs []irRecipe) []entryRecipe {
	var names []string
	for _, r := range irs {
		names = append(names, r.name)
	}
	var out []entryRecipe
	for _, item := range f.list(n, "entrypoints") {
		o := f.object(item, "an entry point", []string{"name", "ir"}, []string{"task", "doc"})
		if o == nil {
			return nil
		}
		f.oneOf(o["ir"], "ir", names, 0)
		name := f.text(o["name"], "name")
		if f.err == nil && slices.ContainsFunc(out, func(x entryRecipe) bool { return x.name == name }) {
			f.fail(o["name"], "two entry points are called %s", name)
		}
		out = append(out, entryRecipe{
			name: name, ir: f.text(o["ir"], "ir"),
			task: f.filled(o["task"], "task"), doc: f.filled(o["doc"], "doc"),
		})
	}
	slices.SortFunc(out, func(a, b entryRecipe) int { return strings.Compare(a.name, b.name) })
	return out
}

// files reads a list of paths, or of {path, media_type}.
func (f *fields) files(n *jsonNode, what string, mediaType func(string) string) []fileRecipe {
	var out []fileRecipe
	for _, item := range f.list(n, what) {
		if _, ok := item.value.(string); ok {
			p := f.path(item, what)
			out = append(out, fileRecipe{p, mediaType(p)})
			continue
		}
		o := f.object(item, "an item of "+what, []string{"path", "media_type"}, nil)
		if o == nil {
			return nil
		}
		out = append(out, fileRecipe{f.path(o["path"], "path"), f.text(o["media_type"], "media_type")})
	}
	return out
}

func (f *fields) module(n *jsonNode) moduleRecipe {
	o := f.object(n, "a module", []string{"tool", "kind"}, []string{
		"variant", "path", "build", "entry", "abi", "limits", "retry", "caps_required", "runtime", "platform", "reuse", "probe",
	})
	if o == nil {
		return moduleRecipe{}
	}
	r := moduleRecipe{variant: f.filled(o["variant"], "variant")}
	f.tool(o["tool"], &r)
	m := &r.module
	m.Kind = uint8(1 + f.oneOf(o["kind"], "kind", []string{"wasm", "process", "oci-image", "native"}, 0))
	wasm := m.Kind == manifest.ModuleWasm
	switch {
	case (o["path"] == nil) == (o["build"] == nil):
		f.fail(n, "a module has either a path or a build")
	case o["path"] != nil:
		r.path = f.path(o["path"], "path")
	default:
		r.build, r.path = f.build(o["build"])
	}
	m.Entry = f.texts(o["entry"], "entry", true)
	if wasm && o["entry"] == nil {
		m.Entry = []string{"_start"}
	}
	abis, absent := []string{"hostcall", "stdio"}, 1
	if wasm {
		absent = 0
	}
	m.ABI = uint8(1 + f.oneOf(o["abi"], "abi", abis, absent))
	m.Retry = uint8(f.oneOf(o["retry"], "retry", []string{"never", "idempotent", "pure", "reconcile"}, 0))
	var ioCalls uint64
	if wasm && o["caps_required"] != nil {
		ioCalls = grantedIOCalls
	}
	m.Limits = f.limits(o["limits"], wasm, ioCalls)
	m.CapsRequired = f.caps(o["caps_required"])
	m.Runtime = f.runtime(o["runtime"])
	m.Platform = f.filled(o["platform"], "platform")
	m.Reuse = f.flag(o["reuse"], "reuse")
	m.Probe = f.texts(o["probe"], "probe", true)
	return r
}

func (f *fields) tool(n *jsonNode, r *moduleRecipe) {
	o := f.object(n, "a tool", []string{"name", "interface", "request_type", "response_type"},
		[]string{"description", "request_schema", "response_schema"})
	if o == nil {
		return
	}
	r.tool = manifest.Tool{
		Name:           f.text(o["name"], "name"),
		Interface:      uint16(f.number(o["interface"], "interface", 1<<16-1, 0)),
		RequestTypeID:  f.typeID(o["request_type"], "request_type"),
		ResponseTypeID: f.typeID(o["response_type"], "response_type"),
	}
	r.description = f.filled(o["description"], "description")
	if s := o["request_schema"]; s != nil {
		r.requestSchema = f.path(s, "request_schema")
	}
	if s := o["response_schema"]; s != nil {
		r.responseSchema = f.path(s, "response_schema")
	}
}

// typeID reads a built-in type's name or a type id.
func (f *fields) typeID(n *jsonNode, what string) cid.Hash {
	s := f.text(n, what)
	if strings.HasPrefix(s, "sha256:") {
		return f.hash(n, what)
	}
	names := []string{"any", "null", "bool", "u64", "i64", "bytes", "text", "list", "map"}
	ids := []cid.Hash{
		abi.TypeAny, abi.TypeNull, abi.TypeBool, abi.TypeU64, abi.TypeI64, abi.TypeBytes, abi.TypeText, abi.TypeList, abi.TypeMap,
	}
	return ids[f.oneOf(n, what+" (or sha256:...)", names, 0)]
}

func (f *fields) build(n *jsonNode) (*buildRecipe, string) {
	o := f.object(n, "a build", []string{"command", "output"}, []string{"env"})
	if o == nil {
		return nil, ""
	}
	b := &buildRecipe{command: f.texts(o["command"], "command", false)}
	if len(b.command) == 0 || len(b.command) > maxCommand || b.command[0] == "" {
		f.fail(o["command"], "command: want 1 to %d words", maxCommand)
	}
	if slices.ContainsFunc(b.command, func(s string) bool { return strings.Contains(s, "\x00") }) {
		f.fail(o["command"], "command: a word holds a NUL")
	}
	env := f.pairs(o["env"], "env")
	if len(env) > maxEnv {
		f.fail(o["env"], "env: at most %d variables", maxEnv)
	}
	for _, m := range env {
		value := f.text(m.node, "env")
		if !envName(m.key) || strings.Contains(value, "\x00") {
			f.fail(m.node, "env: %s is not a variable", strconv.Quote(m.key))
		}
		b.env = append(b.env, m.key+"="+value)
	}
	slices.Sort(b.env)
	return b, f.path(o["output"], "output")
}

// envName matches ^[A-Za-z_][A-Za-z0-9_]*$.
func envName(s string) bool {
	for i, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		case i > 0 && c >= '0' && c <= '9':
		default:
			return false
		}
	}
	return s != ""
}

// grantedIOCalls is how many granted hostcalls a wasm module may make that asks for
// capabilities and does not say.
const grantedIOCalls = 1000

// limits reads limits over the defaults of RFC-MYTHOS-0006 §13.
func (f *fields) limits(n *jsonNode, wasm bool, ioCalls uint64) manifest.Limits {
	var o map[string]*jsonNode
	if n != nil {
		o = f.object(n, "limits", nil, []string{
			"timeout_us", "memory_bytes", "fuel", "max_request_bytes", "max_response_bytes", "max_stderr_bytes", "max_io_calls",
		})
	}
	number := func(key string, absent uint64) uint64 { return f.number(o[key], key, 1<<63-1, absent) }
	l := manifest.Limits{
		TimeoutMicros:    number("timeout_us", 30_000_000),
		MemoryBytes:      number("memory_bytes", 64<<20),
		MaxRequestBytes:  number("max_request_bytes", 1<<20),
		MaxResponseBytes: number("max_response_bytes", 1<<20),
		MaxStderrBytes:   number("max_stderr_bytes", 64<<10),
		MaxIOCalls:       uint32(f.number(o["max_io_calls"], "max_io_calls", 1<<32-1, ioCalls)),
	}
	if wasm || o["fuel"] != nil {
		fuel := number("fuel", 1_000_000_000)
		l.Fuel = &fuel
	}
	return l
}

func (f *fields) runtime(n *jsonNode) *manifest.Runtime {
	if n == nil {
		return nil
	}
	o := f.object(n, "runtime", []string{"name", "version"}, nil)
	if o == nil {
		return nil
	}
	return &manifest.Runtime{Name: f.text(o["name"], "name"), Version: f.text(o["version"], "version")}
}
