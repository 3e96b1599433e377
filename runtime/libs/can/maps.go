package can

import (
	"bytes"
	"maps"
	"slices"
)

// AppendTextMap appends a MAP with TEXT keys in canonical order.
func AppendTextMap[V any](b []byte, m map[string]V, value func([]byte, V) []byte) []byte {
	keys := slices.SortedFunc(maps.Keys(m), func(x, y string) int {
		return bytes.Compare(AppendText(nil, x), AppendText(nil, y))
	})
	b = AppendMap(b, len(keys))
	for _, k := range keys {
		b = value(AppendText(b, k), m[k])
	}
	return b
}

// ReadTextMap reads a MAP with TEXT keys.
func ReadTextMap[V any](r *Reader, value func(*Reader) V) map[string]V {
	n := r.MapHead()
	m := make(map[string]V, r.Room(n, 4))
	var keys Keys
	for ; n > 0 && r.err == nil; n-- {
		at := r.off
		k := r.Text()
		keys.Check(r, at)
		m[k] = value(r)
	}
	r.EndMap()
	return m
}

// AppendUintMap appends a MAP with UVARINT keys in canonical order, which is
// not numeric order from 128 up.
func AppendUintMap[V any](b []byte, m map[uint32]V, value func([]byte, V) []byte) []byte {
	keys := slices.SortedFunc(maps.Keys(m), func(x, y uint32) int {
		return bytes.Compare(AppendUint(nil, uint64(x)), AppendUint(nil, uint64(y)))
	})
	b = AppendMap(b, len(keys))
	for _, k := range keys {
		b = value(AppendUint(b, uint64(k)), m[k])
	}
	return b
}

// ReadUintMap reads a MAP with UVARINT keys of at most 32 bits.
func ReadUintMap[V any](r *Reader, value func(*Reader) V) map[uint32]V {
	n := r.MapHead()
	m := make(map[uint32]V, r.Room(n, 4))
	var keys Keys
	for ; n > 0 && r.err == nil; n-- {
		at := r.off
		k := uint32(r.UintMax(1<<32 - 1))
		keys.Check(r, at)
		m[k] = value(r)
	}
	r.EndMap()
	return m
}
