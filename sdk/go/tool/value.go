package tool

import (
	"bytes"
	"iter"
	"slices"
)

// Kind is the type of a Value.
type Kind uint8

// The kinds, in the order in which their values sort (RFC-MYTHOS-0001 §2.5).
const (
	KindNull Kind = iota
	KindBool
	KindUint
	KindInt
	KindBytes
	KindText
	KindList
	KindMap
	KindNone // no value: what Get returns for a member that is missing
)

func (k Kind) String() string {
	return [...]string{"NULL", "BOOL", "UVARINT", "IVARINT", "BYTES", "TEXT", "LIST", "MAP", "nothing"}[min(k, KindNone)]
}

// Value is one MYTHOS-CAN value (RFC-MYTHOS-0001 §2), kept encoded: passing one
// on changes no byte of it, and reading one costs what is read. The zero Value
// is NULL. A Value of a Call aliases its request; it stays valid, and none of
// its bytes may be changed.
//
// Methods that read a Value of another kind, or of a missing member, return an
// error that Serve answers with status 400 and the code "bad_request", so that
// a tool can simply hand it up:
//
//	name, err := c.Payload.Get("name").Text()
//	if err != nil {
//		return tool.Value{}, err
//	}
type Value struct {
	raw []byte
	err error // why there is no value
}

// Pair is a key of a MAP and its value.
type Pair struct{ Key, Value Value }

// Null returns NULL, the zero Value.
func Null() Value { return Value{} }

// Bool returns true or false.
func Bool(b bool) Value {
	if b {
		return Value{raw: []byte{tagTrue}}
	}
	return Value{raw: []byte{tagFalse}}
}

// Uint returns an unsigned integer, a UVARINT.
func Uint(n uint64) Value { return Value{raw: appendUvarint([]byte{tagUint}, n)} }

// Int returns a signed integer, an IVARINT. 5 as a UVARINT and 5 as an IVARINT
// are different values.
func Int(n int64) Value { return Value{raw: appendUvarint([]byte{tagInt}, zigzag(n))} }

// Bytes returns BYTES, a copy of b.
func Bytes(b []byte) Value { return Value{raw: appendSized(nil, tagBytes, b)} }

// Text returns TEXT. If s is not UTF-8 the Value cannot be answered.
func Text(s string) Value { return Value{raw: appendSized(nil, tagText, s)} }

// List returns a LIST of items.
func List(items ...Value) Value {
	size := 11
	for _, v := range items {
		size += len(v.raw) + 1
	}
	raw := appendUvarint(append(make([]byte, 0, size), tagList), uint64(len(items)))
	for _, v := range items {
		if v.err != nil {
			return v
		}
		raw = append(raw, v.Raw()...)
	}
	return Value{raw: raw}
}

// Map returns a MAP of pairs, which it sorts in place. If a key occurs twice
// the Value cannot be answered.
func Map(pairs ...Pair) Value {
	slices.SortFunc(pairs, func(a, b Pair) int { return bytes.Compare(a.Key.Raw(), b.Key.Raw()) })
	raw := appendUvarint([]byte{tagMap}, uint64(len(pairs)))
	for _, p := range pairs {
		for _, v := range []Value{p.Key, p.Value} {
			if v.err != nil {
				return v
			}
			raw = append(raw, v.Raw()...)
		}
	}
	return Value{raw: raw}
}

// Object returns a MAP with TEXT keys.
func Object(members map[string]Value) Value {
	pairs := make([]Pair, 0, len(members))
	for name, v := range members {
		pairs = append(pairs, Pair{Text(name), v})
	}
	return Map(pairs...)
}

// Parse returns the value that raw encodes, or why raw is not exactly one
// canonical value. The Value aliases raw.
func Parse(raw []byte) (Value, error) {
	if err := checkValue(raw); err != nil {
		return Value{}, err
	}
	return Value{raw: raw}, nil
}

// Raw returns the encoding of v, to be read only.
func (v Value) Raw() []byte {
	if len(v.raw) == 0 {
		return []byte{tagNull}
	}
	return v.raw
}

// Err returns why v is no value, or nil.
func (v Value) Err() error { return v.err }

// Kind returns the kind of v.
func (v Value) Kind() Kind {
	switch {
	case v.err != nil:
		return KindNone
	case len(v.raw) == 0 || v.raw[0] == tagNull:
		return KindNull
	case v.raw[0] <= tagTrue:
		return KindBool
	}
	return Kind(v.raw[0] - 1)
}

// want returns nil if v is of kind k.
func (v Value) want(k Kind) error {
	switch got := v.Kind(); {
	case v.err != nil:
		return v.err
	case got != k:
		return badRequest("got " + got.String() + ", want " + k.String())
	}
	return nil
}

// Bool returns the truth of a BOOL.
func (v Value) Bool() (bool, error) {
	if err := v.want(KindBool); err != nil {
		return false, err
	}
	return v.raw[0] == tagTrue, nil
}

// Uint returns a UVARINT.
func (v Value) Uint() (uint64, error) {
	if err := v.want(KindUint); err != nil {
		return 0, err
	}
	n, _ := uvarint(v.raw[1:])
	return n, nil
}

// Int returns an IVARINT.
func (v Value) Int() (int64, error) {
	if err := v.want(KindInt); err != nil {
		return 0, err
	}
	n, _ := uvarint(v.raw[1:])
	return int64(n>>1) ^ -int64(n&1), nil
}

// Bytes returns the content of BYTES, which aliases v.
func (v Value) Bytes() ([]byte, error) {
	if err := v.want(KindBytes); err != nil {
		return nil, err
	}
	_, size := uvarint(v.raw[1:])
	return v.raw[1+size:], nil
}

// Text returns a TEXT.
func (v Value) Text() (string, error) {
	if err := v.want(KindText); err != nil {
		return "", err
	}
	_, size := uvarint(v.raw[1:])
	return string(v.raw[1+size:]), nil
}

// Len returns the number of items of a LIST or pairs of a MAP, 0 for others.
func (v Value) Len() int {
	if k := v.Kind(); k != KindList && k != KindMap {
		return 0
	}
	n, _ := uvarint(v.raw[1:])
	return int(n)
}

// Items returns the items of a LIST, in order.
func (v Value) Items() (iter.Seq[Value], error) {
	if err := v.want(KindList); err != nil {
		return nil, err
	}
	return func(yield func(Value) bool) {
		count, size := uvarint(v.raw[1:])
		at := 1 + size
		for range count {
			n := valueLen(v.raw[at:])
			if !yield(Value{raw: v.raw[at : at+n]}) {
				return
			}
			at += n
		}
	}, nil
}

// Pairs returns the keys and values of a MAP, in canonical order.
func (v Value) Pairs() (iter.Seq2[Value, Value], error) {
	if err := v.want(KindMap); err != nil {
		return nil, err
	}
	return func(yield func(key, value Value) bool) {
		count, size := uvarint(v.raw[1:])
		at := 1 + size
		for range count {
			k := at + valueLen(v.raw[at:])
			end := k + valueLen(v.raw[k:])
			if !yield(Value{raw: v.raw[at:k]}, Value{raw: v.raw[k:end]}) {
				return
			}
			at = end
		}
	}, nil
}

// Get returns the value of the TEXT key name of a MAP. If v is no MAP or has no
// such key, reading the result fails with "bad_request".
func (v Value) Get(name string) Value {
	found, ok, err := v.find(Text(name))
	switch {
	case err != nil:
		return Value{err: err}
	case !ok:
		return Value{err: badRequest("member " + name + " is missing")}
	}
	return found
}

// Lookup returns the value of the TEXT key name and whether v is a MAP that has
// it: for members that are optional.
func (v Value) Lookup(name string) (Value, bool) {
	found, ok, _ := v.find(Text(name))
	return found, ok
}

func (v Value) find(key Value) (Value, bool, error) {
	pairs, err := v.Pairs()
	if err != nil {
		return Value{}, false, err
	}
	for k, x := range pairs {
		if bytes.Equal(k.raw, key.raw) {
			return x, true, nil
		}
	}
	return Value{}, false, nil
}

// encodable returns nil if v may be answered to a call with this payload, which
// was checked already.
func (v Value) encodable(payload Value) error {
	raw, was := v.Raw(), payload.Raw()
	switch {
	case v.err != nil:
		return v.err
	case &raw[0] == &was[0] && len(raw) == len(was):
		return nil
	}
	if err := checkValue(raw); err != nil {
		return &resultError{err}
	}
	return nil
}

type resultError struct{ cause error }

func (e *resultError) Error() string { return "the result cannot be encoded: " + e.cause.Error() }
func (e *resultError) Unwrap() error { return e.cause }
