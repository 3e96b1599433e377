// Package specref holds the test that every section reference resolves: each
// RFC number with a section sign in Go, schema and Markdown files must name a
// numbered heading in spec/, and inside an RFC a section sign without a
// document means that RFC.
package specref

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

var (
	// A reference is a document, if any, and one or more sections:
	// "RFC-MYTHOS-0001 S2.1, S2.2 and S4" with section signs for S.
	reference = regexp.MustCompile(`(?:\b(RFC-MYTHOS-\d{4}|RFC[ -]\d+|[A-Z][A-Za-z0-9]*[ -]\d[\d.-]*),? )?(§\d+(?:\.\d+)*(?:(?:, | and | or | to |, and )§\d+(?:\.\d+)*)*)`)
	section   = regexp.MustCompile(`§(\d+(?:\.\d+)*)`)
	heading   = regexp.MustCompile(`^#{1,6}\s+(\d+(?:\.\d+)*)\.?(?:\s|$)`)
	document  = regexp.MustCompile(`^spec/(RFC-MYTHOS-\d{4})\.md$`)
)

func TestReferencesResolve(t *testing.T) {
	root, err := os.OpenRoot("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	problems, refs, err := check(root.FS())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
	if refs == 0 {
		t.Error("no reference found: the pattern and the comments have drifted apart")
	}
}

// check returns the references that do not resolve, and how many there are.
func check(fsys fs.FS) (problems []string, refs int, err error) {
	texts, err := read(fsys)
	if err != nil {
		return nil, 0, err
	}
	have := map[string]bool{}
	for p, text := range texts {
		m := document.FindStringSubmatch(p)
		if m == nil {
			continue
		}
		for _, number := range headings(text) {
			if have[m[1]+" "+number] {
				problems = append(problems, fmt.Sprintf("%s: heading %s is there twice", p, number))
			}
			have[m[1]+" "+number] = true
		}
	}
	if len(have) == 0 {
		return nil, 0, fmt.Errorf("no numbered heading in spec/RFC-MYTHOS-*.md")
	}
	for p, text := range texts {
		for n, line := range strings.Split(text, "\n") {
			for _, ref := range references(p, line) {
				refs++
				if !have[ref] {
					problems = append(problems, fmt.Sprintf("%s:%d: %s names no heading in spec/", p, n+1, ref))
				}
			}
		}
	}
	slices.Sort(problems)
	return problems, refs, nil
}

// references returns the sections that a line of file p refers to, each as
// "RFC-MYTHOS-NNNN x.y".
func references(p, line string) []string {
	var out []string
	for _, m := range reference.FindAllStringSubmatch(line, -1) {
		doc := m[1]
		if own := document.FindStringSubmatch(p); doc == "" && own != nil {
			doc = own[1]
		}
		if !strings.HasPrefix(doc, "RFC-MYTHOS-") {
			continue // someone else's document
		}
		for _, s := range section.FindAllStringSubmatch(m[2], -1) {
			out = append(out, doc+" "+s[1])
		}
	}
	return out
}

// headings returns the numbers of the headings outside code fences.
func headings(text string) []string {
	var out []string
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		}
		if m := heading.FindStringSubmatch(line); m != nil && !fenced {
			out = append(out, m[1])
		}
	}
	return out
}

// read returns the Go, schema and Markdown files of the project by path.
func read(fsys fs.FS) (map[string]string, error) {
	texts := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != "." && (name[0] == '.' || slices.Contains([]string{"node_modules", "target", "bin", "dist"}, name)) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || !slices.Contains([]string{".go", ".can", ".md"}, path.Ext(name)) {
			return nil
		}
		b, err := fs.ReadFile(fsys, p)
		texts[p] = string(b)
		return err
	})
	return texts, err
}

func TestCheckCatches(t *testing.T) {
	const rfc = "RFC-MYTHOS-" + "0001 " // in two parts, or the test would read itself
	spec := "# RFC\n\n## 1. Scope\n\n## 2 Bytes\n\n### 2.1 Tags\n\n```\n## 9 not a heading\n```\n"
	for name, c := range map[string]struct {
		path, text string
		refs       int
		problem    string
	}{
		"resolves":              {"a/a.go", "// " + rfc + "§2.1", 1, ""},
		"several resolve":       {"a/a.go", "// " + rfc + "§1, §2 and §2.1", 3, ""},
		"end of sentence":       {"guide.md", "see " + rfc + "§2.", 1, ""},
		"unknown section":       {"a/a.go", "// " + rfc + "§3", 1, "0001 3 names no heading"},
		"unknown in a list":     {"spec/schema.can", "# " + rfc + "§1, §4", 2, "0001 4 names no heading"},
		"unknown document":      {"spec/guide/a.md", "RFC-MYTHOS-" + "0099 §1", 1, "0099 1 names no heading"},
		"fenced heading":        {"README.md", rfc + "§9", 1, "0001 9 names no heading"},
		"own section":           {"spec/RFC-MYTHOS-0002.md", "## 1 One\nsee §1 and §7\n", 2, "0002 7 names no heading"},
		"another's document":    {"spec/RFC-MYTHOS-0002.md", "## 1 One\nRFC 8032 §5.1.7\n", 0, ""},
		"section sign in prose": {"README.md", "see §7", 0, ""},
		"heading twice":         {"spec/RFC-MYTHOS-0002.md", "## 1 One\n## 1 Again\n", 0, "twice"},
		"not looked at":         {"a/a.txt", rfc + "§77", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			problems, refs, err := check(fstest.MapFS{
				"spec/RFC-MYTHOS-0001.md": {Data: []byte(spec)},
				c.path:                    {Data: []byte(c.text)},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(problems, "\n"); refs != c.refs || (c.problem == "") != (got == "") || !strings.Contains(got, c.problem) {
				t.Errorf("got %d references and %q, want %d and %q", refs, got, c.refs, c.problem)
			}
		})
	}
	if _, _, err := check(fstest.MapFS{"a.go": {Data: []byte("package a")}}); err == nil {
		t.Error("a project without spec was accepted")
	}
}
