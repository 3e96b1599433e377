// Command cangen turns spec/schema.can into the Go codecs of runtime/libs, the
// codecs of the SDKs, the descriptors of the named JSON views, the tables of
// codecs by name and the field tables of the RFCs. With -check it writes nothing and fails if a file would
// change.
//
//	go run ./internal/cangen [-check]
//
// The grammar stands at the top of spec/schema.can. It runs from the root of
// the repository.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	check := flag.Bool("check", false, "fail if a generated file is not up to date")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "cangen:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	f, err := os.Open(filepath.Join("spec", "schema.can"))
	if err != nil {
		return err
	}
	defer f.Close()
	s, err := parseSchema(f)
	if err != nil {
		return fmt.Errorf("spec/schema.can: %w", err)
	}
	files, err := s.files()
	if err != nil {
		return err
	}
	var stale error
	for _, f := range files {
		old, err := os.ReadFile(f.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		switch {
		case bytes.Equal(old, f.data):
		case check:
			stale = errors.Join(stale, fmt.Errorf("%s is not up to date: run \"make generate\"", f.path))
		default:
			if err := write(f); err != nil {
				return err
			}
		}
	}
	return stale
}

type output struct {
	path string
	data []byte
}

func write(f output) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(f.path, f.data, 0o644)
}

// files renders everything that the schema determines.
func (s *schema) files() ([]output, error) {
	var out []output
	seen := map[string]bool{}
	for _, x := range s.structs {
		if seen[x.Package] {
			continue
		}
		seen[x.Package] = true
		data, err := s.goFile(x.Package)
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", x.Package, err)
		}
		out = append(out, output{filepath.Join("runtime", "libs", x.Package, "can_gen.go"), data})
	}
	view, err := s.viewFile()
	if err != nil {
		return nil, err
	}
	out = append(out, output{filepath.Join("internal", "view", "schema_gen.go"), view})
	for _, table := range []struct {
		pkg, path string
		hash      bool
	}{
		{"view", filepath.Join("internal", "view", "codecs_gen_test.go"), false},
		{"conformance", filepath.Join("runtime", "conformance", "codecs_gen.go"), true},
	} {
		codecs, err := s.codecsFile(table.pkg, table.hash)
		if err != nil {
			return nil, err
		}
		out = append(out, output{table.path, codecs})
	}
	py, err := s.pyFile()
	if err != nil {
		return nil, err
	}
	out = append(out, output{filepath.Join("sdk", "python", "mythos", "structs.py"), py})
	out = append(out, s.tsFiles()...)
	docs, err := filepath.Glob(filepath.Join("spec", "RFC-MYTHOS-*.md"))
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		text, err := os.ReadFile(d)
		if err != nil {
			return nil, err
		}
		filled, err := s.fillTables(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d, err)
		}
		out = append(out, output{d, []byte(filled)})
	}
	return out, nil
}
