package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/ctvp"
	"github.com/mythos-run/mythos/runtime/conformance"
)

// version is that of the pack's format and rules; vectors are added without it.
const version = "1"

// files renders everything that the pack consists of, by path.
func (p *pack) files() (map[string][]byte, error) {
	all := map[string][]byte{}
	m := conformance.Manifest{Schema: conformance.PackSchema, Version: version}
	for _, s := range p.suites {
		m.Suites = append(m.Suites, s.Suite)
	}
	for _, v := range p.vectors {
		entry, err := v.files(all)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.entry.ID, err)
		}
		m.Vectors = append(m.Vectors, entry)
	}
	for name, text := range p.keys {
		all["keys/"+name+".key"] = []byte(text)
	}
	var sums bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&sums, "%s  %s\n", sum(all[name]), name)
	}
	all["SHA256SUMS"] = sums.Bytes()
	schemas, err := p.schemas()
	if err != nil {
		return nil, err
	}
	maps.Copy(all, schemas)
	if all["flags.json"], err = indent(p.flags); err != nil {
		return nil, err
	}
	all["manifest.json"], err = oneLineEach(m)
	return all, err
}

// files adds the vector's files to all and returns its entry.
func (v *vector) files(all map[string][]byte) (conformance.Entry, error) {
	e := v.entry
	e.Files, e.SHA256 = map[string]string{}, map[string]string{}
	text, err := indent(v.body)
	if err != nil {
		return e, err
	}
	base := "vectors/" + e.Suite + "/" + e.ID + "."
	add := func(name, file string, b []byte) {
		e.Files[name], e.SHA256[name] = file, sum(b)
		all[file] = b
	}
	add("vector", base+"json", text)
	for name, b := range v.extra {
		add(name, base+name+".bin", b)
	}
	return e, nil
}

// indent is a JSON document for people.
func indent(x any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(x)
	return b.Bytes(), err
}

// oneLineEach writes the manifest with a line for each suite and vector, so that
// a new vector is a new line.
func oneLineEach(m conformance.Manifest) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n\"schema\": %q,\n\"version\": %q,\n", m.Schema, m.Version)
	lines := func(name string, n int, item func(i int) any) error {
		fmt.Fprintf(&b, "%q: [\n", name)
		for i := range n {
			text, err := (&pack{}).encode(item(i))
			if err != nil {
				return err
			}
			b.Write(text)
			if i < n-1 {
				b.WriteByte(',')
			}
			b.WriteByte('\n')
		}
		b.WriteByte(']')
		return nil
	}
	err := lines("suites", len(m.Suites), func(i int) any { return m.Suites[i] })
	b.WriteString(",\n")
	err = errors.Join(err, lines("vectors", len(m.Vectors), func(i int) any { return m.Vectors[i] }))
	b.WriteString("\n}\n")
	return b.Bytes(), err
}

// owned are the folders in which every file is the generator's.
func owned() []string { return []string{"keys", "schemas", "vectors"} }

// found lists the files of the owned folders.
func found(dir string) ([]string, error) {
	var list []string
	for _, top := range owned() {
		err := filepath.WalkDir(filepath.Join(dir, top), func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(dir, name)
			list = append(list, filepath.ToSlash(rel))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// compare fails if the folder does not hold exactly the files.
func compare(dir string, files map[string][]byte) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(b, files[name]) {
			errs = append(errs, fmt.Errorf("%s differs from what is generated; run go run ./ctvp/gen", path.Join(dir, name)))
		}
	}
	have, err := found(dir)
	errs = append(errs, err)
	for _, name := range have {
		if _, ok := files[name]; !ok {
			errs = append(errs, fmt.Errorf("%s is not generated", path.Join(dir, name)))
		}
	}
	return errors.Join(errs...)
}

// write writes the files that differ and removes what is not generated.
func write(dir string, files map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := filepath.Join(dir, name)
		if b, err := os.ReadFile(file); err == nil && bytes.Equal(b, files[name]) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, files[name], 0o644); err != nil {
			return err
		}
	}
	have, err := found(dir)
	if err != nil {
		return err
	}
	for _, name := range have {
		if _, ok := files[name]; ok {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// published returns SHA256SUMS as git's HEAD has it; false if there is no git or
// HEAD does not have it.
func published(dir string) ([]byte, bool) {
	cmd := exec.Command("git", "show", "HEAD:./SHA256SUMS")
	cmd.Dir = dir
	b, err := cmd.Output()
	return b, err == nil
}

// appendOnly refuses a list that changes or drops a published line.
func appendOnly(dir string, now []byte) error {
	before, ok := published(dir)
	if !ok {
		return nil
	}
	return lost(before, now)
}

// lost names the lines of before that now does not have.
func lost(before, now []byte) error {
	have := map[string]bool{}
	for line := range strings.Lines(string(now)) {
		have[line] = true
	}
	var errs []error
	for line := range strings.Lines(string(before)) {
		if !have[line] {
			errs = append(errs, fmt.Errorf("SHA256SUMS is append-only, and this line would change or go: %s", strings.TrimSpace(line)))
		}
	}
	return errors.Join(errs...)
}

// schemas renders the JSON Schemas, whose list of codes is the error table.
func (p *pack) schemas() (map[string][]byte, error) {
	table, err := ctvp.Errors()
	if err != nil {
		return nil, err
	}
	var codes []string
	for _, e := range table {
		codes = append(codes, e.Code)
	}
	for _, v := range p.vectors {
		if v.entry.Error != "" && !slices.Contains(codes, v.entry.Error) {
			return nil, fmt.Errorf("%s: %s is not in errors.json", v.entry.ID, v.entry.Error)
		}
	}
	m, err := indent(manifestSchema())
	if err != nil {
		return nil, err
	}
	v, err := indent(vectorSchema())
	return map[string][]byte{"schemas/manifest.schema.json": m, "schemas/vector.schema.json": v}, err
}
