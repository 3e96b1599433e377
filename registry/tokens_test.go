package registry_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

func TestTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	if _, err := registry.ReadTokens(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("no file: %v", err)
	}
	a, err := registry.NewToken(path, "ci", []string{"write", "publish:demo/"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := registry.NewToken(path, "reader", []string{"read"})
	if err != nil || a == b || len(a) < 40 {
		t.Fatalf("%q, %q, %v", a, b, err)
	}
	got, err := registry.ReadTokens(path)
	want := []registry.Token{
		{Name: "ci", SHA256: cid.Sum([]byte(a)), Rights: []string{"write", "publish:demo/"}},
		{Name: "reader", SHA256: cid.Sum([]byte(b)), Rights: []string{"read"}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	raw, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(raw), a) {
		t.Errorf("the file tells a token: %v", err)
	}
	if err := registry.RemoveToken(path, "ci"); err != nil {
		t.Fatal(err)
	}
	if err := registry.RemoveToken(path, "ci"); !errors.Is(err, registry.ErrNoToken) {
		t.Errorf("twice: %v", err)
	}
	if got, err = registry.ReadTokens(path); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.ReadTokens(path); !errors.Is(err, registry.ErrToken) {
		t.Errorf("others may read it: %v", err)
	}
}

func TestTokenRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	if _, err := registry.NewToken(path, "ci", []string{"read"}); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name   string
		rights []string
	}{
		{"", []string{"read"}},
		{"a\nb", []string{"read"}},
		{strings.Repeat("x", 101), []string{"read"}},
		{"ci", []string{"read"}},
		{"x", nil},
		{"x", []string{"Read"}},
		{"x", []string{"publish"}},
		{"x", []string{"publish:UPPER"}},
		{"x", []string{"admin"}},
	} {
		if _, err := registry.NewToken(path, x.name, x.rights); !errors.Is(err, registry.ErrToken) {
			t.Errorf("%q %q: %v", x.name, x.rights, err)
		}
	}
	after, err := os.ReadFile(path)
	if err != nil || string(before) != string(after) {
		t.Errorf("the file changed: %v", err)
	}
}

const goodTokens = `{"schema":"mythos.registry.tokens/1","tokens":[{"name":"ci","sha256":"sha256:2222222222222222222222222222222222222222222222222222222222222222","rights":["read"]}]}`

func TestParseTokens(t *testing.T) {
	if _, err := registry.ParseTokens([]byte(goodTokens)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"unknown member": {`"name"`, `"more":1,"name"`},
		"another schema": {"tokens/1", "tokens/2"},
		"no name":        {`"name":"ci",`, ""},
		"no hash":        {`"sha256":"sha256:2222222222222222222222222222222222222222222222222222222222222222",`, ""},
		"half a hash":    {`sha256:22222222`, `sha256:`},
		"no rights":      {`["read"]`, `[]`},
		"a right":        {`["read"]`, `"read"`},
		"unknown right":  {`"read"`, `"root"`},
		"after it":       {`]}]}`, `]}]} {}`},
		"null":           {`["read"]`, `null`},
		"nothing":        {goodTokens, ``},
	} {
		text := strings.Replace(goodTokens, change[0], change[1], 1)
		if text == goodTokens {
			t.Fatalf("%s changes nothing", name)
		}
		if list, err := registry.ParseTokens([]byte(text)); !errors.Is(err, registry.ErrToken) {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
	twice := strings.Replace(goodTokens, `[{`, `[{"name":"ci","sha256":"sha256:3333333333333333333333333333333333333333333333333333333333333333","rights":["read"]},{`, 1)
	if _, err := registry.ParseTokens([]byte(twice)); !errors.Is(err, registry.ErrToken) {
		t.Errorf("a name twice: %v", err)
	}
}

func FuzzParseTokens(f *testing.F) {
	f.Add([]byte(goodTokens))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := registry.ParseTokens(raw)
		if err != nil {
			return
		}
		for _, x := range list {
			for _, r := range x.Rights {
				if err := registry.CheckRight(r); err != nil || x.Name == "" || x.SHA256.IsZero() {
					t.Errorf("%+v passed: %v", x, err)
				}
			}
		}
	})
}
