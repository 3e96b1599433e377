package cli

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// scopeFromJSON reads the scope of a kind from a JSON object of its fields, as "mythos
// caps inspect --json" shows it: hashes as sha256:..., other bytes in hex, numbers as
// numbers or decimal strings.
func scopeFromJSON(kind uint8, text string) (caps.Scope, error) {
	name := caps.KindName(kind) + "Scope"
	x, ok := view.Lookup(name)
	if !ok {
		return caps.Scope{}, usagef("--kind %s has no fields that can be written so", caps.KindName(kind))
	}
	if text == "" {
		text = "{}"
	}
	members := map[string]any{}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&members); err != nil {
		return caps.Scope{}, usagef("--scope is no JSON object of %s: %w", fieldNames(x), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return caps.Scope{}, usagef("--scope has something behind its JSON object")
	}
	payload, err := encodeFields(x, members)
	if err != nil {
		return caps.Scope{}, err
	}
	s := caps.Scope{Kind: kind, Payload: payload}
	if err := caps.CheckScope(s); err != nil {
		return caps.Scope{}, usagef("--scope: %w", err)
	}
	return s, nil
}

func fieldNames(x view.Struct) string {
	var names []string
	for _, f := range x.Fields {
		names = append(names, f.Name)
	}
	if names == nil {
		return "no fields"
	}
	return strings.Join(names, ", ")
}

// encodeFields writes the members as the canonical struct, its fields in order.
func encodeFields(x view.Struct, members map[string]any) ([]byte, error) {
	var out []byte
	n := 0
	for _, f := range x.Fields {
		v, ok := members[f.Name]
		if !ok {
			continue // the decoder says which one must be there
		}
		delete(members, f.Name)
		value, ok := encodeField(f.Type, v)
		if !ok {
			return nil, usagef("--scope: field %s does not take %v", f.Name, v)
		}
		out = append(can.AppendUint(out, uint64(f.Num)), value...)
		n++
	}
	for name := range members {
		return nil, usagef("--scope: no field %s; there are %s", name, fieldNames(x))
	}
	return append(can.AppendMap(nil, n), out...), nil
}

// encodeField returns the canonical bytes of a member, and whether it suits the type.
func encodeField(t view.Type, v any) ([]byte, bool) {
	switch t.Kind {
	case "u8", "u16", "u32", "u64":
		text, ok := v.(string)
		if num, isNumber := v.(json.Number); isNumber {
			text, ok = num.String(), true
		}
		n, err := strconv.ParseUint(text, 10, 64)
		return can.AppendUint(nil, n), ok && err == nil
	case "text":
		s, ok := v.(string)
		return can.AppendText(nil, s), ok
	case "bytes":
		s, ok := v.(string)
		b, err := hex.DecodeString(s)
		return can.AppendBytes(nil, b), ok && err == nil
	case "struct":
		s, ok := v.(string)
		h, err := cid.Parse(s)
		return h.AppendCAN(nil), ok && err == nil && t.Struct == "Hash"
	case "list":
		return encodeList(*t.Elem, v)
	case "map":
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, false
		}
		b, err := can.FromJSON(bytes.TrimSpace(raw))
		return b, err == nil
	}
	return nil, false
}

func encodeList(elem view.Type, v any) ([]byte, bool) {
	items, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := can.AppendList(nil, len(items))
	for _, item := range items {
		b, ok := encodeField(elem, item)
		if !ok {
			return nil, false
		}
		out = append(out, b...)
	}
	return out, true
}
