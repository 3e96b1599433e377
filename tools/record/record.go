// Package record reads the records that IR programs send to tools
// (RFC-MYTHOS-0012 §2): MAPs whose keys are UVARINT field numbers, in which an
// absent field and NULL are the same.
package record

import (
	"strconv"

	"github.com/mythos-run/mythos/sdk/go/tool"
)

// Record is the fields of a record by their numbers; NULL if absent.
type Record []tool.Value

// Read returns the fields 1 to last of v. A v that is no MAP is "bad_request";
// a field of another number, which a tool must not ignore, is answered with
// status 400 and the code "field_unknown".
func Read(v tool.Value, last int) (Record, error) {
	pairs, err := v.Pairs()
	if err != nil {
		return nil, err
	}
	r := make(Record, last+1)
	for key, value := range pairs {
		n, err := key.Uint()
		if err != nil {
			return nil, err
		}
		if n < 1 || n > uint64(last) {
			return nil, tool.Fail(400, "field_unknown", "field "+strconv.FormatUint(n, 10)+" is unknown; known are 1 to "+strconv.Itoa(last))
		}
		r[n] = value
	}
	return r, nil
}

// Has reports whether field n is there.
func (r Record) Has(n int) bool { return r[n].Kind() != tool.KindNull }

// Text returns field n as a text, "" if it is absent.
func (r Record) Text(n int) (string, error) {
	if !r.Has(n) {
		return "", nil
	}
	return r[n].Text()
}

// Bool returns field n as a bool, false if it is absent.
func (r Record) Bool(n int) (bool, error) {
	if !r.Has(n) {
		return false, nil
	}
	return r[n].Bool()
}

// Data returns field n as bytes, be it BYTES or TEXT; nil if it is absent. They
// are to be read only.
func (r Record) Data(n int) ([]byte, error) {
	switch r[n].Kind() {
	case tool.KindNull:
		return nil, nil
	case tool.KindText:
		s, err := r[n].Text()
		return []byte(s), err
	}
	return r[n].Bytes()
}

// Items returns field n as a list of at most limit items, none if it is absent.
// A longer list is answered with status 400 and the code "list_too_long".
func (r Record) Items(n, limit int) ([]tool.Value, error) {
	if !r.Has(n) {
		return nil, nil
	}
	items, err := r[n].Items()
	if err != nil {
		return nil, err
	}
	if r[n].Len() > limit {
		return nil, tool.Fail(400, "list_too_long", "field "+strconv.Itoa(n)+" has "+strconv.Itoa(r[n].Len())+" items, at most "+strconv.Itoa(limit))
	}
	out := make([]tool.Value, 0, r[n].Len())
	for v := range items {
		out = append(out, v)
	}
	return out, nil
}

// Texts is Items for a list of texts.
func (r Record) Texts(n, limit int) ([]string, error) {
	items, err := r.Items(n, limit)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(items))
	for i, v := range items {
		if out[i], err = v.Text(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Pair is a field of a record to write.
func Pair(n uint64, v tool.Value) tool.Pair { return tool.Pair{Key: tool.Uint(n), Value: v} }
