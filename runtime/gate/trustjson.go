package gate

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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

// members returns the member names of the objects at each place of a trust
// file, and whether there is an object at that place.
func members(place string) ([]string, bool) {
	switch place {
	case "":
		return []string{"schema", "entries"}, true
	case ".entries[]":
		return []string{"role", "origin", "keys", "threshold", "names", "not_before", "not_after", "ring_max"}, true
	case ".entries[].keys[]":
		return []string{"key", "hint"}, true
	}
	return nil, false
}

// ParseTrust reads the bytes of a trust file, and refuses it whole for one
// unknown, misspelt or doubled key.
func ParseTrust(raw []byte) (*Trust, error) {
	if len(raw) > MaxTrustFile {
		return nil, fault.New(ErrTrust, "more than %d bytes", MaxTrustFile)
	}
	if !utf8.Valid(raw) {
		return nil, fault.New(ErrTrust, "not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := checkMembers(d, ""); err != nil {
		return nil, fault.New(ErrTrust, "%w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.New(ErrTrust, "something stands after the JSON object")
	}
	var file trustJSON
	if err := json.Unmarshal(raw, &file); err != nil {
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

// checkMembers walks one JSON value. encoding/json by itself takes names in any
// case, keeps the last of two equal ones and reads null as absence.
func checkMembers(d *json.Decoder, place string) error {
	tok, err := d.Token()
	switch {
	case err != nil:
		return err
	case tok == nil:
		return fmt.Errorf("null at %s: leave the key out", cutDot(place))
	case tok == json.Delim('['):
		if !slices.Contains([]string{".entries", ".entries[].keys", ".entries[].names"}, place) {
			return fmt.Errorf("a list at %s", cutDot(place)) // and no nesting without end
		}
		for d.More() {
			if err := checkMembers(d, place+"[]"); err != nil {
				return err
			}
		}
	case tok == json.Delim('{'):
		if err := checkObject(d, place); err != nil {
			return err
		}
	default:
		return nil
	}
	_, err = d.Token() // the closing delimiter
	return err
}

func checkObject(d *json.Decoder, place string) error {
	known, ok := members(place)
	if !ok {
		return fmt.Errorf("an object at %s", cutDot(place))
	}
	var seen []string
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := tok.(string)
		switch {
		case !slices.Contains(known, name):
			return fmt.Errorf("unknown key %q: want one of %s", name, strings.Join(known, ", "))
		case slices.Contains(seen, name):
			return fmt.Errorf("key %q stands twice in one object", name)
		}
		seen = append(seen, name)
		if err := checkMembers(d, place+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func cutDot(place string) string {
	if place == "" {
		return "the top"
	}
	return strings.TrimPrefix(place, ".")
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
