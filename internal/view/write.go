package view

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// writer renders bytes that check has accepted, so its reads cannot fail.
type writer struct{ out []byte }

// holder is where a value stands: the struct or document, the field, and the
// struct's kind field, which tells what its payload is.
type holder struct {
	name, field string
	kind        uint64
}

func (w *writer) text(s string) { w.out = append(w.out, s...) }

func (w *writer) quote(s string) { w.out = can.AppendJSONText(w.out, s) }

func (w *writer) comma(i int) {
	if i > 0 {
		w.text(",")
	}
}

func (w *writer) value(r *can.Reader, t Type) {
	switch t.Kind {
	case "u8", "u16", "u32":
		w.out = strconv.AppendUint(w.out, r.Uint(), 10)
	case "u64":
		w.quote(strconv.FormatUint(r.Uint(), 10))
	case "i64":
		w.quote(strconv.FormatInt(r.Int(), 10))
	case "time":
		w.quote(Time(r.Int()))
	case "bool":
		w.out = strconv.AppendBool(w.out, r.Bool())
	case "bytes", "fixed":
		w.quote(hex.EncodeToString(r.Bytes()))
	case "text":
		w.quote(r.Text())
	case "raw":
		w.any(r)
	case "struct":
		w.structure(r, t)
	case "list":
		w.text("[")
		n := r.List()
		for i := range n {
			w.comma(i)
			w.value(r, *t.Elem)
		}
		r.EndList()
		w.text("]")
	case "map":
		w.mapping(r, t)
	}
}

// any renders a value that no struct describes.
func (w *writer) any(r *can.Reader) {
	w.out, _ = can.AppendJSON(w.out, r.Raw())
}

func (w *writer) mapping(r *can.Reader, t Type) {
	w.text("{")
	n := r.MapHead()
	for i := range n {
		w.comma(i)
		if t.Key == "text" {
			w.quote(r.Text())
		} else {
			w.quote(strconv.FormatUint(r.Uint(), 10))
		}
		w.text(":")
		w.value(r, *t.Elem)
	}
	r.EndMap()
	w.text("}")
}

func (w *writer) structure(r *can.Reader, t Type) {
	if t.Struct == "Hash" {
		var h cid.Hash
		h.ReadCAN(r)
		w.quote(h.String())
		return
	}
	x, _ := Lookup(t.Struct)
	h := holder{name: x.Name}
	var unknown []byte
	first := true
	w.text("{")
	for n := r.MapHead(); n > 0; n-- {
		num := r.Uint()
		i := x.field(num)
		if i < 0 {
			unknown = appendUnknown(unknown, num, r.Raw())
			continue
		}
		if !first {
			w.text(",")
		}
		first = false
		w.field(r, x.Fields[i], &h)
	}
	r.EndMap()
	if unknown != nil {
		if !first {
			w.text(",")
		}
		w.text(`"unknown":{`)
		w.out = append(w.out, unknown...)
		w.text("}")
	}
	w.text("}")
}

func appendUnknown(dst []byte, num uint64, raw []byte) []byte {
	if dst != nil {
		dst = append(dst, ',')
	}
	dst = strconv.AppendUint(append(dst, '"'), num, 10)
	dst, _ = can.AppendJSON(append(dst, `":`...), raw)
	return dst
}

// field renders one field and, if it is BYTES that hold another value, that
// value behind it.
func (w *writer) field(r *can.Reader, f Field, h *holder) {
	h.field = f.Name
	raw := r.Raw()
	value := can.NewReader(raw)
	w.quote(f.Name)
	w.text(":")
	w.value(&value, f.Type)
	if f.Name == "kind" && f.Type.Kind == "u8" {
		value = can.NewReader(raw)
		h.kind = value.Uint()
	}
	if inner, ok := nestedIn(f.Type, *h, raw); ok {
		w.text(",")
		w.quote(f.Name + "_view")
		w.text(":")
		w.out = append(w.out, inner...)
	}
}

// nestedIn returns the view of what a field of BYTES, or of a LIST of BYTES,
// holds.
func nestedIn(t Type, h holder, raw []byte) ([]byte, bool) {
	r := can.NewReader(raw)
	switch {
	case t.Kind == "bytes":
		return nested(h, r.Bytes())
	case t.Kind != "list" || t.Elem.Kind != "bytes":
		return nil, false
	}
	out := []byte{'['}
	n := r.List()
	for i := range n {
		inner, ok := nested(h, r.Bytes())
		if !ok {
			return nil, false
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, inner...)
	}
	return append(out, ']'), true
}

// Time renders microseconds since the Unix epoch as RFC 3339 in UTC, or in
// digits where RFC 3339 has no year for them.
func Time(micros int64) string {
	t := time.UnixMicro(micros).UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return strconv.FormatInt(micros, 10)
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}
