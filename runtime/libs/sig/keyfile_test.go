package sig

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The key files of RFC-MYTHOS-0001 §4.3.
const (
	secretFile = `MYTHOS SECRET KEY v1
role: publisher
hint: TEST ONLY
seed: 2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a
key: 197f6b23e16c8532c6abc838facd5ea789be0c76b2920334039bfa8b3d368d61
`
	publicFile = `MYTHOS PUBLIC KEY v1
role: publisher
hint: TEST ONLY
key: 197f6b23e16c8532c6abc838facd5ea789be0c76b2920334039bfa8b3d368d61
`
)

func TestKeyFiles(t *testing.T) {
	k, role, err := ParseSecret([]byte(secretFile))
	if err != nil || role != Publisher || FormatSecret(k, role) != secretFile {
		t.Errorf("%s, %v", role, err)
	}
	a, role, err := ParsePublic([]byte(publicFile))
	if err != nil || role != Publisher || FormatPublic(a, role) != publicFile || !a.Equal(k.Agent()) || a.Hint != "TEST ONLY" {
		t.Errorf("%s, %v", role, err)
	}
	bare := NewKey([32]byte{1}, "")
	for _, role := range Roles() {
		back, got, err := ParseSecret([]byte(FormatSecret(bare, role)))
		if err != nil || got != role || back.Agent() != bare.Agent() {
			t.Errorf("%s: %v", role, err)
		}
		public, got, err := ParsePublic([]byte(FormatPublic(bare.Agent(), role)))
		if err != nil || got != role || public != bare.Agent() {
			t.Errorf("%s: %v", role, err)
		}
	}
}

func TestKeyFilesRefuse(t *testing.T) {
	change := func(s, old, with string) string { return strings.Replace(s, old, with, 1) }
	for name, f := range map[string]func(string) string{
		"empty":           func(string) string { return "" },
		"first line":      func(s string) string { return change(s, "v1", "v2") },
		"CRLF":            func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"byte order mark": func(s string) string { return "\ufeff" + s },
		"no final LF":     func(s string) string { return strings.TrimSuffix(s, "\n") },
		"blank line":      func(s string) string { return s + "\n" },
		"blank inside":    func(s string) string { return change(s, "\n", "\n\n") },
		"comment":         func(s string) string { return s + "# c\n" },
		"more":            func(s string) string { return s + "note: x\n" },
		"trailing space":  func(s string) string { return change(s, "publisher\n", "publisher \n") },
		"two spaces":      func(s string) string { return change(s, "role: ", "role:  ") },
		"no space":        func(s string) string { return change(s, "role: ", "role:") },
		"unknown role":    func(s string) string { return change(s, "publisher", "boss") },
		"no role":         func(s string) string { return change(s, "role: publisher\n", "") },
		"role twice":      func(s string) string { return change(s, "role: publisher\n", "role: publisher\nrole: publisher\n") },
		"order": func(s string) string {
			return change(s, "role: publisher\nhint: TEST ONLY\n", "hint: TEST ONLY\nrole: publisher\n")
		},
		"empty hint":       func(s string) string { return change(s, "TEST ONLY", "") },
		"hint of a space":  func(s string) string { return change(s, "TEST ONLY", " ") },
		"hint ends so":     func(s string) string { return change(s, "TEST ONLY", "TEST ") },
		"hint begins so":   func(s string) string { return change(s, "TEST ONLY", " TEST") },
		"control in hint":  func(s string) string { return change(s, "TEST ONLY", "TEST\x1b[1m") },
		"override in hint": func(s string) string { return change(s, "TEST ONLY", "a\u202eb") },
		"long hint":        func(s string) string { return change(s, "TEST ONLY", strings.Repeat("h", 129)) },
		"hint no UTF-8":    func(s string) string { return change(s, "TEST ONLY", "\xff") },
		"upper case":       func(s string) string { return change(s, "197f6b", "197F6B") },
		"short key":        func(s string) string { return change(s, "197f6b", "197f6") },
		"not hex":          func(s string) string { return change(s, "197f6b", "197f6g") },
		"no key":           func(s string) string { return s[:strings.Index(s, "key:")] },
		"another key": func(s string) string {
			return change(s, "197f6b23e16c8532c6abc838facd5ea789be0c76b2920334039bfa8b3d368d61", strings.Repeat("0", 64))
		},
		"huge":       func(s string) string { return s + strings.Repeat("x", MaxKeyFile) },
		"seed":       func(s string) string { return change(change(s, "seed: 2a", "seed: 2b"), "PUBLIC", "SECRET") },
		"short seed": func(s string) string { return change(change(s, "seed: 2a", "seed: "), "PUBLIC", "SECRET") },
		"secret for public and back": func(s string) string {
			if strings.Contains(s, "SECRET") {
				return publicFile
			}
			return secretFile
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := ParseSecret([]byte(f(secretFile)))
			if !errors.Is(err, ErrKeyFile) {
				t.Errorf("secret: %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), "2a2a") || strings.Contains(err.Error(), "boss")) {
				t.Errorf("the message quotes the secret file: %v", err)
			}
			if _, _, err := ParsePublic([]byte(f(publicFile))); !errors.Is(err, ErrKeyFile) {
				t.Errorf("public: %v", err)
			}
		})
	}
}

// TestExcludedKeys: a key that can never verify a signature has no key file.
func TestExcludedKeys(t *testing.T) {
	for _, key := range strings.Fields(lowOrderPoints) {
		file := strings.Replace(publicFile, "197f6b23e16c8532c6abc838facd5ea789be0c76b2920334039bfa8b3d368d61", key, 1)
		if _, _, err := ParsePublic([]byte(file)); !errors.Is(err, ErrKeyFile) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestParseRole(t *testing.T) {
	if r, err := ParseRole("executor"); r != Executor || err != nil {
		t.Errorf("%s, %v", r, err)
	}
	for _, s := range []string{"", "Executor", "boss"} {
		if _, err := ParseRole(s); !errors.Is(err, ErrKeyFile) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// TestHintsSurvive: what CheckHint accepts comes back from both files, what it
// refuses from neither.
func TestHintsSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hint := rapid.String().Draw(t, "hint")
		ok := CheckHint(hint) == nil
		k := NewKey([32]byte{1}, hint)
		_, _, secret := ParseSecret([]byte(FormatSecret(k, Dev)))
		_, _, public := ParsePublic([]byte(FormatPublic(k.Agent(), Dev)))
		if (secret == nil) != ok || (public == nil) != ok {
			t.Fatalf("%q: hint ok %t, secret %v, public %v", hint, ok, secret, public)
		}
	})
}

// FuzzKeyFile: a key file that is accepted is exactly what would be written.
func FuzzKeyFile(f *testing.F) {
	f.Add([]byte(secretFile))
	f.Add([]byte(publicFile))
	f.Add([]byte(strings.Replace(publicFile, "hint: TEST ONLY\n", "", 1)))
	f.Add([]byte("MYTHOS PUBLIC KEY v1\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if k, role, err := ParseSecret(file); err == nil && FormatSecret(k, role) != string(file) {
			t.Fatalf("%q", file)
		}
		if a, role, err := ParsePublic(file); err == nil && FormatPublic(a, role) != string(file) {
			t.Fatalf("%q", file)
		}
	})
}
