package conformance

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mythos-run/mythos/ctvp"
	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

const (
	madeVector = `{"id":"can-a-001","suite":"can","op":"can.decode","doc":"d","input":{"hex":"00"},"expect":{"output":{"hex":"00"}}}`
	madeFile   = `{"id":"can-b-001","suite":"can","op":"hash.sum","doc":"d","input":{"hex":{"$file":"raw"}},"expect":{"output":{"hash":"HASH"}}}`
)

// smallPack is a sound pack of two vectors, one with a file of its own.
func smallPack() map[string]string {
	files := map[string]string{
		"vectors/can/can-a-001.json":    madeVector,
		"vectors/can/can-b-001.json":    strings.Replace(madeFile, "HASH", cid.Sum([]byte("abc")).String(), 1),
		"vectors/can/can-b-001.raw.bin": "abc",
		"keys/k.key":                    "k",
		"flags.json":                    `{"f":"why"}`,
	}
	sealPack(files)
	return files
}

// sealPack writes the lists that fit the files of a pack.
func sealPack(files map[string]string) {
	var sums strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(name, "vectors/") || strings.HasPrefix(name, "keys/") {
			sums.WriteString(cid.Sum([]byte(files[name])).Hex() + "  " + name + "\n")
		}
	}
	files["SHA256SUMS"] = sums.String()
	hex := func(name string) string { return cid.Sum([]byte(files[name])).Hex() }
	files["manifest.json"] = `{"schema":"mythos.ctvp/1","version":"1","suites":[{"name":"can","spec":"s","doc":"d"}],"vectors":[
		{"id":"can-a-001","suite":"can","spec":"s","level":0,"result":"valid","flags":["f"],
		 "files":{"vector":"vectors/can/can-a-001.json"},"sha256":{"vector":"` + hex("vectors/can/can-a-001.json") + `"}},
		{"id":"can-b-001","suite":"can","spec":"s","level":1,"result":"valid","flags":[],
		 "files":{"vector":"vectors/can/can-b-001.json","raw":"vectors/can/can-b-001.raw.bin"},
		 "sha256":{"vector":"` + hex("vectors/can/can-b-001.json") + `","raw":"` + hex("vectors/can/can-b-001.raw.bin") + `"}}]}`
}

func mapFS(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestReadPack(t *testing.T) {
	p, err := read(mapFS(smallPack()))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Cases) != 2 || p.Flags["f"] != "why" || string(p.Cases[1].Input) != `{"hex":"616263"}` {
		t.Errorf("got %+v, %s", p, p.Cases[1].Input)
	}
	r, err := p.Verify(t.Context(), Options{Level: MaxLevel})
	if err != nil || !r.OK() || len(r.Results) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestDamage changes one thing in a sound pack: nothing of it is run.
func TestDamage(t *testing.T) {
	edit := func(name, old, text string) func(map[string]string) {
		return func(f map[string]string) { f[name] = strings.Replace(f[name], old, text, 1) }
	}
	sealed := func(change func(map[string]string)) func(map[string]string) {
		return func(f map[string]string) {
			change(f)
			sealPack(f)
		}
	}
	m := func(old, text string) func(map[string]string) { return edit("manifest.json", old, text) }
	vector := func(old, text string) func(map[string]string) {
		return sealed(edit("vectors/can/can-a-001.json", old, text))
	}
	remove := func(name string) func(map[string]string) { return func(f map[string]string) { delete(f, name) } }
	add := func(name string) func(map[string]string) { return func(f map[string]string) { f[name] = "{}" } }
	for name, c := range map[string]struct {
		change func(map[string]string)
		want   string
	}{
		"vector changed":        {edit("vectors/can/can-a-001.json", "00", "01"), "SHA256SUMS says"},
		"file changed":          {edit("vectors/can/can-b-001.raw.bin", "abc", "abd"), "SHA256SUMS says"},
		"key changed":           {edit("keys/k.key", "k", "l"), "SHA256SUMS says"},
		"vector missing":        {remove("vectors/can/can-a-001.json"), "is not there"},
		"key missing":           {remove("keys/k.key"), "is not there"},
		"file extra":            {add("vectors/can/can-c-001.json"), "SHA256SUMS does not list it"},
		"key extra":             {add("keys/l.key"), "SHA256SUMS does not list it"},
		"vector not in list":    {sealed(add("vectors/can/can-c-001.json")), "manifest does not list it"},
		"listed and missing":    {sealed(remove("vectors/can/can-b-001.raw.bin")), "is not there"},
		"manifest digest":       {m(cid.Sum([]byte(madeVector)).Hex(), cid.Sum(nil).Hex()), "the manifest says"},
		"sums not ascending":    {func(f map[string]string) { f["SHA256SUMS"] += f["SHA256SUMS"] }, "does not come after"},
		"sums without end":      {edit("SHA256SUMS", "raw.bin\n", "raw.bin"), "is no line"},
		"sums with a bad hash":  {edit("SHA256SUMS", "  keys", "0  keys"), "is no line"},
		"sums with a bad path":  {edit("SHA256SUMS", "  keys", "  ../keys"), "is no path"},
		"another schema":        {m("mythos.ctvp/1", "mythos.ctvp/2"), "schema is"},
		"no vectors":            {func(f map[string]string) { f["manifest.json"] = `{"schema":"mythos.ctvp/1"}` }, "0 vectors"},
		"suite twice":           {m(`"suites":[`, `"suites":[{"name":"can","spec":"s","doc":"d"},`), "stands twice"},
		"suite of a bad name":   {m(`"name":"can"`, `"name":"Can"`), "is no name"},
		"suite unknown":         {m(`"name":"can"`, `"name":"cab"`), "is not listed"},
		"id twice":              {m("can-b-001", "can-a-001"), "stands twice"},
		"id of a bad form":      {m(`"id":"can-a-001"`, `"id":"can-a-1"`), "SUITE-WHAT-NNN"},
		"id of another suite":   {m(`"id":"can-a-001"`, `"id":"cab-a-001"`), "SUITE-WHAT-NNN"},
		"level 3":               {m(`"level":1`, `"level":3`), "level 3"},
		"another result":        {m(`"result":"valid"`, `"result":"good"`), "result"},
		"valid with an error":   {m(`"result":"valid"`, `"result":"valid","error":"can_tag"`), "with error"},
		"invalid without":       {m(`"result":"valid"`, `"result":"invalid"`), "with error"},
		"another path":          {m("vectors/can/can-a-001.json", "vectors/can/../can-a-001.json"), "its file is"},
		"no digest":             {m(`,"raw":"`+cid.Sum([]byte("abc")).Hex(), `,"war":"`+cid.Sum([]byte("abc")).Hex()), "no digest"},
		"a digest too many":     {m(`"sha256":{`, `"sha256":{"x":"",`), "digests"},
		"file of another":       {m("can-b-001.raw.bin", "can-a-001.raw.bin"), "not of this vector"},
		"flag without a reason": {m(`["f"]`, `["g"]`), "does not say why"},
		"flags are no JSON":     {edit("flags.json", "}", ""), "flags.json"},
		"another id inside":     {vector("can-a-001", "can-b-001"), "it is vector"},
		"unknown member inside": {vector(`"doc"`, `"note":1,"doc"`), "unknown field"},
		"two values inside":     {vector(madeVector, madeVector+"{}"), "more than one"},
		"no op":                 {vector("can.decode", ""), "is missing"},
		"an error inside":       {vector(`{"output":{"hex":"00"}}`, `{"error":"can_tag"}`), "it expects error"},
		"no output":             {vector(`{"output":{"hex":"00"}}`, `{}`), "result valid"},
		"an offset":             {vector(`{"output"`, `{"offset":1,"output"`), "an offset"},
		"unknown file inside":   {vector(`"00"`, `{"$file":"raw"}`), "does not have"},
		"the vector as a file":  {vector(`"00"`, `{"$file":"vector"}`), "does not have"},
		"file not used":         {sealed(edit("vectors/can/can-b-001.json", `{"$file":"raw"}`, `["$file"]`)), "uses 0"},
	} {
		t.Run(name, func(t *testing.T) {
			files := smallPack()
			c.change(files)
			_, err := read(mapFS(files))
			if err = packError(err, "p"); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s with %q", err, ErrDamaged, c.want)
			}
		})
	}
	for name, change := range map[string]func(map[string]string){
		"no manifest":          remove("manifest.json"),
		"no sums":              remove("SHA256SUMS"),
		"no flags":             remove("flags.json"),
		"manifest not JSON":    edit("manifest.json", "{", ""),
		"manifest with more":   m(`"version"`, `"more":1,"version"`),
		"manifest of two docs": func(f map[string]string) { f["manifest.json"] += "{}" },
	} {
		t.Run(name, func(t *testing.T) {
			files := smallPack()
			change(files)
			_, err := read(mapFS(files))
			if err = packError(err, "p"); !errors.Is(err, ErrPack) {
				t.Errorf("got %v, want %s", err, ErrPack)
			}
		})
	}
}

// TestOutside: what a pack names outside its folder is not read.
func TestOutside(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	if err := os.CopyFS(dir, mapFS(smallPack())); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err != nil {
		t.Fatal(err)
	}
	write(t, out, []byte("k"))
	remove(t, dir, "keys/k.key")
	if err := os.Symlink(out, filepath.Join(dir, "keys/k.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a link to another folder was read")
	}
}

// TestEmbedded runs the whole pack of this build.
func TestEmbedded(t *testing.T) {
	p, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Verify(t.Context(), Options{Level: MaxLevel})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Results {
		if !x.OK() {
			t.Errorf("%s: absent %t, %s", x.ID, x.Absent, x.Failure())
		}
	}
	if !r.OK() || len(r.Results) < 1000 {
		t.Errorf("OK %t, %d vectors", r.OK(), len(r.Results))
	}
	onDisk, err := Open("../../ctvp")
	if err != nil || len(onDisk.Cases) != len(p.Cases) {
		t.Errorf("the folder: %v", err)
	}
	if _, err := fs.Stat(ctvp.Files(), "README.md"); err != nil {
		t.Error(err)
	}
}

// TestCodecs: every struct of the schema has its Go codec, and those that the
// schema signs are objects.
func TestCodecs(t *testing.T) {
	have := codecs()
	if len(have) != len(Schema())+1 {
		t.Errorf("%d codecs, %d structs and Hash", len(have), len(Schema()))
	}
	for _, x := range Schema() {
		fresh, ok := have[x.Name]
		if !ok {
			t.Errorf("%s has no codec", x.Name)
			continue
		}
		if _, signed := fresh().(sig.Object); signed != (x.Sig != 0) {
			t.Errorf("%s: an object %t, signed in the schema %t", x.Name, signed, x.Sig != 0)
		}
		if _, ok := view.Lookup(x.Name); !ok {
			t.Errorf("%s has no view", x.Name)
		}
	}
}
