package gate

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mythos-run/mythos/internal/strictjson"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// TrustSchema is the schema name that a trust file carries.
const TrustSchema = "mythos.trust/1"

// trustJSON, entryJSON and keyJSON are the file's shape (RFC-MYTHOS-0008 §9).
type trustJSON struct {
	Schema  string      `json:"schema"`
	Entries []entryJSON `json:"entries"`
}

type entryJSON struct {
	Role      string    `json:"role"`
	Origin    *string   `json:"origin,omitempty"`
	Keys      []keyJSON `json:"keys"`
	Threshold *int      `json:"threshold,omitempty"`
	Names     []string  `json:"names,omitempty"`
	NotBefore *string   `json:"not_before,omitempty"`
	NotAfter  *string   `json:"not_after,omitempty"`
	RingMax   *uint8    `json:"ring_max,omitempty"`
}

type keyJSON struct {
	Key  string `json:"key"`
	Hint string `json:"hint,omitempty"`
}

// trustShape returns the members at each place of a trust file.
func trustShape() strictjson.Shape {
	return strictjson.Shape{
		"":                  {"schema", "entries"},
		".entries[]":        {"role", "origin", "keys", "threshold", "names", "not_before", "not_after", "ring_max"},
		".entries[].keys[]": {"key", "hint"}, ".entries[].names[]": nil,
	}
}

// ParseTrust reads the bytes of a trust file, and refuses it whole for one
// unknown, misspelt or doubled key.
func ParseTrust(raw []byte) (*Trust, error) {
	if len(raw) > MaxTrustFile {
		return nil, fault.New(ErrTrust, "more than %d bytes", MaxTrustFile)
	}
	var file trustJSON
	if err := strictjson.Decode(raw, trustShape(), &file); err != nil {
		return nil, fault.New(ErrTrust, "%w", err)
	}
	if file.Schema != TrustSchema {
		return nil, fault.New(ErrTrust, "schema is %q, want %q", file.Schema, TrustSchema)
	}
	entries := make([]TrustEntry, len(file.Entries))
	for i, e := range file.Entries {
		var err error
		if entries[i], err = e.entry(); err != nil {
			return nil, fault.New(ErrTrust, "entry %d: %w", i+1, err)
		}
	}
	t, err := NewTrust(entries)
	if err != nil {
		return nil, err
	}
	t.raw = bytes.Clone(raw)
	return t, nil
}

func (e *entryJSON) entry() (TrustEntry, error) {
	out := TrustEntry{Role: sig.Role(e.Role), Names: e.Names, RingMax: e.RingMax}
	if e.Names != nil && len(e.Names) == 0 {
		return out, errors.New("names is empty: leave it out for every name")
	}
	if e.Threshold != nil {
		if out.Threshold = *e.Threshold; out.Threshold < 1 {
			return out, fmt.Errorf("threshold %d", out.Threshold)
		}
	}
	for _, k := range e.Keys {
		a := sig.AgentID{Scheme: sig.Ed25519, Hint: k.Hint}
		b, err := hex.DecodeString(k.Key)
		if err != nil || len(b) != len(a.Key) || strings.ToLower(k.Key) != k.Key {
			return out, errors.New("a key is not 64 lowercase hex digits")
		}
		copy(a.Key[:], b)
		out.Keys = append(out.Keys, a)
	}
	var err error
	if e.Origin != nil {
		if out.Origin, err = cid.Parse(*e.Origin); err != nil {
			return out, err
		}
	}
	if out.NotBefore, err = parseTime(e.NotBefore); err != nil {
		return out, err
	}
	out.NotAfter, err = parseTime(e.NotAfter)
	return out, err
}

func parseTime(s *string) (time.Time, error) {
	if s == nil {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, *s)
	if err != nil || !strings.HasSuffix(*s, "Z") || t.IsZero() {
		return time.Time{}, fmt.Errorf("%q is not a time such as 2026-01-01T00:00:00Z", *s)
	}
	return t, nil
}

func encodeTrust(entries []TrustEntry) ([]byte, error) {
	file := trustJSON{Schema: TrustSchema, Entries: make([]entryJSON, len(entries))}
	for i, e := range entries {
		origin := e.Origin.String()
		file.Entries[i] = entryJSON{
			Role: string(e.Role), Origin: &origin, Threshold: &e.Threshold, Names: e.Names,
			NotBefore: formatTime(e.NotBefore), NotAfter: formatTime(e.NotAfter), RingMax: e.RingMax,
		}
		for _, k := range e.Keys {
			file.Entries[i].Keys = append(file.Entries[i].Keys, keyJSON{hex.EncodeToString(k.Key[:]), k.Hint})
		}
	}
	raw, err := json.MarshalIndent(file, "", "  ")
	return append(raw, '\n'), err
}

func formatTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(time.RFC3339Nano)
	return &s
}
