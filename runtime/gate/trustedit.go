package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// ErrTrustEntry is the code of an entry, or a key of one, that a trust file does not
// have.
const ErrTrustEntry fault.Code = "trust_entry_missing"

// WithKeys returns t with keys added to the one entry of a role that holds the key
// with an id, or that has it as origin. The entry keeps its origin (RFC-MYTHOS-0008
// §9), and with it whatever is bound to that.
func (t *Trust) WithKeys(role sig.Role, of cid.Hash, keys []sig.AgentID) (*Trust, int, error) {
	at := -1
	for i := range t.entries {
		if e := &t.entries[i]; e.Role != role || !e.holdsID(of) && e.Origin != of {
			continue
		}
		if at >= 0 {
			return nil, 0, fault.New(ErrTrust, "entries %d and %d of role %s both hold it: edit the trust file", at+1, i+1, role).About(of.String())
		}
		at = i
	}
	if at < 0 {
		return nil, 0, fault.New(ErrTrustEntry, "no entry of role %s holds it", role).About(of.String())
	}
	entries := slices.Clone(t.entries)
	entries[at].Keys = slices.Concat(entries[at].Keys, keys)
	out, err := NewTrust(entries)
	return out, at, err
}

// Without returns t without the key with an id, in the entries of a role, or of all
// roles for "". An entry without keys is gone; one that would have fewer keys than
// its threshold is refused. It returns how many entries held the key.
func (t *Trust) Without(role sig.Role, key cid.Hash) (*Trust, int, error) {
	var entries []TrustEntry
	n := 0
	for i, e := range t.entries {
		if role != "" && e.Role != role || !e.holdsID(key) {
			entries = append(entries, e)
			continue
		}
		n++
		e.Keys = slices.DeleteFunc(slices.Clone(e.Keys), func(a sig.AgentID) bool { return a.KeyID() == key })
		switch {
		case len(e.Keys) == 0:
		case len(e.Keys) < e.Threshold:
			return nil, 0, fault.New(ErrTrust, "entry %d needs %d keys and would have %d: add the new key first, or lower its threshold in the trust file", i+1, e.Threshold, len(e.Keys)).About(key.String())
		default:
			entries = append(entries, e)
		}
	}
	if n == 0 {
		what := "no entry"
		if role != "" {
			what += " of role " + string(role)
		}
		return nil, 0, fault.New(ErrTrustEntry, "%s holds it", what).About(key.String())
	}
	out, err := NewTrust(entries)
	return out, n, err
}

func (e *TrustEntry) holdsID(id cid.Hash) bool {
	return slices.ContainsFunc(e.Keys, func(a sig.AgentID) bool { return a.KeyID() == id })
}

// Match says whether an entry counts for something, and if not, why.
type Match struct {
	Entry  int // from 0
	Counts bool
	Why    string // of what counts, or why it does not
}

// Question is what Explain asks each entry: may some keys speak in a role, about a
// package's name in a ring. A zero field asks nothing.
type Question struct {
	Role    sig.Role
	Name    string
	Ring    uint8
	Signers []cid.Hash // ids of the keys that have spoken
	Now     time.Time  // when windows are looked at
}

// Explain holds every entry against a question, in the order of the file. An entry
// that does not count says everything that is in its way, or that it is of another role.
func (t *Trust) Explain(q Question) []Match {
	var out []Match
	for i := range t.entries {
		e := &t.entries[i]
		var against []string
		have := 0
		for _, id := range q.Signers {
			if e.holdsID(id) {
				have++
			}
		}
		if q.Role != "" && e.Role != q.Role {
			out = append(out, Match{Entry: i, Why: fmt.Sprintf("it is of role %s, not %s", e.Role, q.Role)})
			continue
		}
		if q.Name != "" && !e.Covers(q.Name) {
			against = append(against, fmt.Sprintf("its names %s do not cover %s", strings.Join(e.Names, " "), q.Name))
		}
		if !e.Admits(q.Ring) {
			against = append(against, fmt.Sprintf("it counts up to ring %d", *e.RingMax))
		}
		if !q.Now.IsZero() && !e.Current(q.Now) {
			against = append(against, "it is outside its window")
		}
		switch {
		case len(q.Signers) > 0 && have == 0:
			against = append(against, "it holds none of the keys")
		case have < e.Threshold && len(q.Signers) > 0 && e.Threshold > 1:
			against = append(against, fmt.Sprintf("%d of its keys have signed, %d are needed", have, e.Threshold))
		}
		m := Match{Entry: i, Counts: len(against) == 0, Why: strings.Join(against, "; ")}
		if m.Counts && len(q.Signers) > 0 {
			m.Why = fmt.Sprintf("%d of %d needed keys", have, e.Threshold)
		}
		out = append(out, m)
	}
	return out
}
