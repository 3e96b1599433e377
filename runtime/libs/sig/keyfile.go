package sig

import (
	"encoding/hex"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrKeyFile is the code of a key file that is not one.
const ErrKeyFile fault.Code = "key_file"

// MaxKeyFile bounds a key file in bytes.
const MaxKeyFile = 4096

// Role says what a key may be used for (RFC-MYTHOS-0008 §9).
type Role string

// The roles.
const (
	Publisher Role = "publisher"
	Authority Role = "authority"
	Executor  Role = "executor"
	Verifier  Role = "verifier"
	Registry  Role = "registry"
	Operator  Role = "operator"
	Policy    Role = "policy"
	Dev       Role = "dev"
)

// Roles returns every role.
func Roles() []Role {
	return []Role{Publisher, Authority, Executor, Verifier, Registry, Operator, Policy, Dev}
}

// ParseRole returns the role named s.
func ParseRole(s string) (Role, error) {
	if !slices.Contains(Roles(), Role(s)) {
		return "", fault.New(ErrKeyFile, "unknown role %q: want one of publisher, authority, executor, verifier, registry, operator, policy, dev", s)
	}
	return Role(s), nil
}

const (
	secretHead = "MYTHOS SECRET KEY v1"
	publicHead = "MYTHOS PUBLIC KEY v1"
)

// FormatSecret renders a secret key file (RFC-MYTHOS-0001 §4.3).
func FormatSecret(k Key, role Role) string {
	return secretHead + "\nrole: " + string(role) + "\n" + hintLine(k.agent.Hint) +
		"seed: " + hex.EncodeToString(k.secret.Seed()) + "\nkey: " + hex.EncodeToString(k.agent.Key[:]) + "\n"
}

// FormatPublic renders a public key file.
func FormatPublic(a AgentID, role Role) string {
	return publicHead + "\nrole: " + string(role) + "\n" + hintLine(a.Hint) + "key: " + hex.EncodeToString(a.Key[:]) + "\n"
}

func hintLine(hint string) string {
	if hint == "" {
		return ""
	}
	return "hint: " + hint + "\n"
}

// ParseSecret reads a secret key file. It accepts exactly what FormatSecret
// writes. Its errors never quote the file.
func ParseSecret(file []byte) (Key, Role, error) {
	f, err := parseKeyFile(file, secretHead)
	if err != nil {
		return Key{}, "", err
	}
	var seed [32]byte
	if !decodeHex(seed[:], f["seed"]) {
		return Key{}, "", fault.New(ErrKeyFile, "seed is not 64 lowercase hex digits")
	}
	k := NewKey(seed, f["hint"])
	if FormatSecret(k, Role(f["role"])) != string(file) {
		return Key{}, "", fault.New(ErrKeyFile, "the file is not in canonical form, or its key is not the seed's")
	}
	return k, Role(f["role"]), nil
}

// ParsePublic reads a public key file. It accepts exactly what FormatPublic
// writes, and no key that the strict profile excludes.
func ParsePublic(file []byte) (AgentID, Role, error) {
	f, err := parseKeyFile(file, publicHead)
	if err != nil {
		return AgentID{}, "", err
	}
	a := AgentID{Scheme: Ed25519, Hint: f["hint"]}
	if !decodeHex(a.Key[:], f["key"]) {
		return AgentID{}, "", fault.New(ErrKeyFile, "key is not 64 lowercase hex digits")
	}
	if !canonicalPoint(a.Key) {
		return AgentID{}, "", fault.New(ErrKeyFile, "key is one that never verifies a signature: not canonical or of low order")
	}
	if FormatPublic(a, Role(f["role"])) != string(file) {
		return AgentID{}, "", fault.New(ErrKeyFile, "the file is not in canonical form")
	}
	return a, Role(f["role"]), nil
}

func decodeHex(dst []byte, s string) bool {
	if len(s) != 2*len(dst) {
		return false
	}
	_, err := hex.Decode(dst, []byte(s))
	return err == nil
}

func parseKeyFile(file []byte, head string) (map[string]string, error) {
	if len(file) > MaxKeyFile || !utf8.Valid(file) {
		return nil, fault.New(ErrKeyFile, "not a key file")
	}
	first, rest, _ := strings.Cut(string(file), "\n")
	switch {
	case first == head:
	case first == secretHead:
		return nil, fault.New(ErrKeyFile, "this is a secret key file where a public one is due; export it first")
	case first == publicHead:
		return nil, fault.New(ErrKeyFile, "this is a public key file where a secret one is due")
	default:
		return nil, fault.New(ErrKeyFile, "not a key file: its first line is not %q", head)
	}
	fields := map[string]string{}
	for line := range strings.Lines(rest) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		fields[name] = value
	}
	if _, err := ParseRole(fields["role"]); err != nil {
		return nil, fault.New(ErrKeyFile, "its role is missing or unknown") // no quote: the file may be secret
	}
	return fields, CheckHint(fields["hint"])
}

// CheckHint checks that a hint fits a key file: at most 128 bytes of printable
// text without a space at either end; "" is no hint.
func CheckHint(hint string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if len(hint) > 128 || !utf8.ValidString(hint) || strings.ContainsFunc(hint, unprintable) || strings.TrimSpace(hint) != hint {
		return fault.New(ErrKeyFile, "a hint is at most 128 bytes of printable text without a space at either end")
	}
	return nil
}
