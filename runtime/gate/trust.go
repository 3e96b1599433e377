package gate

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/rings"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Codes of the trust file.
const (
	ErrTrust           fault.Code = "trust_invalid"    // a trust file, or an entry for it, that breaks a rule
	ErrTrustUnreadable fault.Code = "trust_unreadable" // a trust file that cannot be read or written
)

// Bounds of a trust file (RFC-MYTHOS-0008 §9).
const (
	MaxTrustFile = 1 << 20 // bytes
	maxKeys      = 64      // of one entry
	maxNames     = 64      // of one entry
	maxGlob      = 128     // bytes
)

// TrustEntry says which keys may speak in a role, for which packages, how many
// together, when, and up to which ring.
type TrustEntry struct {
	Role      sig.Role
	Origin    cid.Hash      // key id of the first key ever; zero: that of Keys[0]
	Keys      []sig.AgentID // 1..64, distinct
	Threshold int           // distinct keys that must sign; 0 means 1
	Names     []string      // globs over package names; none means "**"
	NotBefore time.Time     // zero: no bound
	NotAfter  time.Time     // zero: no bound; the first moment when the entry no longer counts
	RingMax   *uint8        // nil: every ring
}

// Trust is the content of a trust file. It is immutable.
type Trust struct {
	entries []TrustEntry
	raw     []byte
}

// NewTrust checks entries, fills in their defaults and makes a Trust of them.
func NewTrust(entries []TrustEntry) (*Trust, error) {
	t := &Trust{entries: make([]TrustEntry, len(entries))}
	for i, e := range entries {
		if err := e.fill(); err != nil {
			return nil, fault.New(ErrTrust, "%w", err).About(fmt.Sprintf("entry %d", i+1))
		}
		t.entries[i] = e
	}
	var err error
	if t.raw, err = encodeTrust(t.entries); err != nil {
		return nil, err
	}
	if len(t.raw) > MaxTrustFile {
		return nil, fault.New(ErrTrust, "a trust file of %d bytes, at most %d", len(t.raw), MaxTrustFile)
	}
	return t, nil
}

// fill checks e and sets its defaults. It changes no slice of the caller's.
func (e *TrustEntry) fill() error {
	e.Keys, e.Names = slices.Clone(e.Keys), slices.Clone(e.Names)
	if e.Threshold == 0 {
		e.Threshold = 1
	}
	if len(e.Names) == 0 {
		e.Names = []string{"**"}
	}
	if _, err := sig.ParseRole(string(e.Role)); err != nil || e.Role == sig.Dev {
		return fmt.Errorf("role %q is not one that a trust file can hold", e.Role)
	}
	if len(e.Keys) == 0 || len(e.Keys) > maxKeys {
		return fmt.Errorf("%d keys, want 1..%d", len(e.Keys), maxKeys)
	}
	for i, k := range e.Keys {
		// The key file's reader holds the one rule for keys and hints.
		if _, _, err := sig.ParsePublic([]byte(sig.FormatPublic(k, e.Role))); err != nil || k.Scheme != sig.Ed25519 {
			return fmt.Errorf("key %d is not a public key (hint %q)", i+1, k.Hint)
		}
		if slices.ContainsFunc(e.Keys[:i], k.Equal) {
			return fmt.Errorf("key %x stands twice", k.Key)
		}
	}
	if e.Origin.IsZero() {
		e.Origin = e.Keys[0].KeyID()
	}
	switch {
	case e.Threshold < 1 || e.Threshold > len(e.Keys):
		return fmt.Errorf("threshold %d with %d keys", e.Threshold, len(e.Keys))
	case e.Threshold > 1 && e.Role != sig.Publisher && e.Role != sig.Verifier:
		return fmt.Errorf("threshold %d: only publishers and verifiers speak together; what a key of role %s signs carries one signature", e.Threshold, e.Role)
	case len(e.Names) > maxNames:
		return fmt.Errorf("%d name globs, at most %d", len(e.Names), maxNames)
	case !e.NotBefore.IsZero() && !e.NotAfter.IsZero() && !e.NotBefore.Before(e.NotAfter):
		return errors.New("not_after is not after not_before")
	}
	for _, g := range e.Names {
		if !validGlob(g) {
			return fmt.Errorf("name glob %q: want package names with * and **", g)
		}
	}
	return nil
}

// Entries returns the entries. The caller must not change them.
func (t *Trust) Entries() []TrustEntry { return t.entries }

// With returns t and one more entry behind its own.
func (t *Trust) With(e TrustEntry) (*Trust, error) {
	return NewTrust(append(slices.Clone(t.entries), e))
}

// Find returns the entry that says the same as e, if there is one: only hints of its
// keys may differ. A faulty e is nowhere.
func (t *Trust) Find(e TrustEntry) (TrustEntry, bool) {
	if e.fill() != nil {
		return e, false
	}
	for _, x := range t.entries {
		if x.same(&e) {
			return x, true
		}
	}
	return e, false
}

func (e *TrustEntry) same(o *TrustEntry) bool {
	rings := e.RingMax == nil && o.RingMax == nil || e.RingMax != nil && o.RingMax != nil && *e.RingMax == *o.RingMax
	keys := len(e.Keys) == len(o.Keys) && !slices.ContainsFunc(e.Keys, func(k sig.AgentID) bool { return !o.Holds(k) })
	return rings && keys && e.Role == o.Role && e.Origin == o.Origin && e.Threshold == o.Threshold &&
		slices.Equal(e.Names, o.Names) && e.NotBefore.Equal(o.NotBefore) && e.NotAfter.Equal(o.NotAfter)
}

// Match returns the entries of a role that count for a package's name in a ring
// at a time.
func (t *Trust) Match(role sig.Role, name string, ring uint8, now time.Time) []TrustEntry {
	var out []TrustEntry
	for _, e := range t.entries {
		if e.Role == role && e.Covers(name) && e.Admits(ring) && e.Current(now) {
			out = append(out, e)
		}
	}
	return out
}

// Verifiers returns the verifier entries that count for a package's name in a ring at
// a time.
func (t *Trust) Verifiers(name string, ring uint8, now time.Time) []rings.Verifiers {
	var out []rings.Verifiers
	for _, e := range t.Match(sig.Verifier, name, ring, now) {
		out = append(out, rings.Verifiers{Keys: e.Keys, Threshold: e.Threshold})
	}
	return out
}

// Operators reports whether a key is an operator's who counts for a package's name in
// a ring at a time.
func (t *Trust) Operators(name string, ring uint8, now time.Time) func(sig.AgentID) bool {
	entries := t.Match(sig.Operator, name, ring, now)
	return func(a sig.AgentID) bool {
		return slices.ContainsFunc(entries, func(e TrustEntry) bool { return e.Holds(a) })
	}
}

// keys returns the keys of a role that count for a name in a ring at a time; for ""
// whatever their names.
func (t *Trust) keys(role sig.Role, name string, ring uint8, now time.Time) []sig.AgentID {
	var out []sig.AgentID
	for _, e := range t.entries {
		if e.Role == role && (name == "" || e.Covers(name)) && e.Admits(ring) && e.Current(now) {
			out = append(out, e.Keys...)
		}
	}
	return out
}

// Current reports whether e counts at a time.
func (e *TrustEntry) Current(now time.Time) bool {
	return (e.NotBefore.IsZero() || !now.Before(e.NotBefore)) && (e.NotAfter.IsZero() || now.Before(e.NotAfter))
}

// Admits reports whether e counts in a ring.
func (e *TrustEntry) Admits(ring uint8) bool { return e.RingMax == nil || ring <= *e.RingMax }

// Covers reports whether one of e's globs matches the whole name.
func (e *TrustEntry) Covers(name string) bool {
	return slices.ContainsFunc(e.Names, func(g string) bool { return matchGlob(g, name) })
}

// Holds reports whether key is one of e's.
func (e *TrustEntry) Holds(key sig.AgentID) bool { return slices.ContainsFunc(e.Keys, key.Equal) }

// TrustsExecutor reports whether a current executor entry holds a key: whether
// what it signed in receipts and the ledger counts here.
func (t *Trust) TrustsExecutor(key sig.AgentID, now time.Time) bool {
	return slices.ContainsFunc(t.entries, func(e TrustEntry) bool {
		return e.Role == sig.Executor && e.Current(now) && e.Holds(key)
	})
}

// Epoch is a hash that changes whenever trust does: of the file's bytes and of
// the keys that are trusted without standing in it.
func (t *Trust) Epoch(implicit ...sig.AgentID) cid.Hash {
	h := sha256.New()
	h.Write(t.raw)
	for _, k := range implicit {
		h.Write(k.Key[:])
	}
	return cid.Hash(h.Sum(nil))
}

// LoadTrust reads a trust file. A missing one is empty.
func LoadTrust(path string) (*Trust, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Trust{}, nil
	}
	if err != nil {
		return nil, unusableTrust(path, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, MaxTrustFile+1))
	if err != nil {
		return nil, unusableTrust(path, err)
	}
	t, err := ParseTrust(raw)
	var e *fault.Error
	if errors.As(err, &e) {
		if e.Subject != "" {
			path += ", " + e.Subject
		}
		return nil, e.About(path)
	}
	return t, err
}

// Save writes t to path by temporary file and rename; path's folder is made if
// it is missing.
func (t *Trust) Save(path string) error {
	raw := t.raw
	if raw == nil {
		var err error
		if raw, err = encodeTrust(nil); err != nil {
			return err
		}
	}
	if err := atomicfile.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return unusableTrust(path, err)
	}
	if err := atomicfile.Write(path, raw, 0o600); err != nil {
		return unusableTrust(path, err)
	}
	return nil
}

// Equal reports whether two trusts were read from the same bytes.
func (t *Trust) Equal(o *Trust) bool { return bytes.Equal(t.raw, o.raw) }

// validGlob accepts the characters of package names, * and **.
func validGlob(g string) bool {
	if g == "" || len(g) > maxGlob || strings.Contains(g, "***") {
		return false
	}
	return strings.Trim(g, "abcdefghijklmnopqrstuvwxyz0123456789._/-*") == ""
}

// matchGlob matches the whole name: * is any run of characters but a slash, **
// any run at all. It keeps the set of pattern positions that are reachable, so
// that its work is bounded by the product of the lengths.
func matchGlob(glob, name string) bool {
	tokens := globTokens(glob)
	reach := make([]bool, len(tokens)+1)
	reach[0] = true
	skipStars(tokens, reach)
	for i := range len(name) {
		next := make([]bool, len(reach))
		for j, tok := range tokens {
			switch {
			case !reach[j]:
			case tok == "**" || tok == "*" && name[i] != '/':
				next[j] = true
			case tok == name[i:i+1]:
				next[j+1] = true
			}
		}
		reach = next
		skipStars(tokens, reach)
	}
	return reach[len(tokens)]
}

// skipStars marks what a star that stands for nothing leads to.
func skipStars(tokens []string, reach []bool) {
	for j, tok := range tokens {
		if reach[j] && tok[0] == '*' {
			reach[j+1] = true
		}
	}
}

func globTokens(glob string) []string {
	var tokens []string
	for len(glob) > 0 {
		n := 1
		if strings.HasPrefix(glob, "**") {
			n = 2
		}
		tokens = append(tokens, glob[:n])
		glob = glob[n:]
	}
	return tokens
}

// unusableTrust is a trust file that cannot be read or written. The system's
// reason alone is kept of the cause's text: the path is the subject.
func unusableTrust(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fault.New(ErrTrustUnreadable, "%w", err).About(path)
}
