package ir

import (
	"bytes"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
)

// walkDepth is the plain way to reckon what nesting reckons.
func walkDepth(r *can.Reader) int {
	kind, _ := r.Kind()
	deepest := 0
	switch kind {
	case can.List:
		for n := r.List(); n > 0; n-- {
			deepest = max(deepest, walkDepth(r))
		}
		r.EndList()
		return deepest + 1
	case can.Map:
		for n := r.MapHead(); n > 0; n-- {
			deepest = max(deepest, walkDepth(r), walkDepth(r))
		}
		r.EndMap()
		return deepest + 1
	}
	r.Skip()
	return 0
}

func FuzzValue(f *testing.F) {
	p, _ := load(f, prelude+"func main() -> any {\nnop\nnop\nret\n}\ntask main = main() budget cpu_us=1 io=0 writes=0\n")
	for _, o := range opTests() {
		f.Add([]byte(o.want), uint64(1))
	}
	f.Add([]byte("\x08\x02\x03\x01\x07\x02\x00\x08\x00\x03\x81\x01\x05\x01x"), uint64(129))
	f.Fuzz(func(t *testing.T, b []byte, id uint64) {
		valid := checkValue(b) == nil
		for typeID := range p.types.index {
			if err := p.CheckType(typeID, b); err == nil && !valid {
				t.Fatalf("%x passes as %s", b, typeID)
			}
		}
		if !valid {
			return
		}
		if err := p.CheckType(abi.TypeAny, b); err != nil {
			t.Fatal(err)
		}
		if end := skip(b, 0); end != len(b) {
			t.Fatalf("skip ends at %d of %d", end, len(b))
		}
		r := can.NewReader(b)
		if want := walkDepth(&r); nesting(b) != want {
			t.Fatalf("%x nests %d, want %d", b, nesting(b), want)
		}
		switch b[0] {
		case can.List:
			checkItems(t, b)
		case can.Map:
			checkEdit(t, b, id)
		}
	})
}

func checkItems(t *testing.T, b []byte) {
	joined := can.AppendList(nil, len(items(b)))
	for i, want := range items(b) {
		if got, ok := item(b, uint64(i)); !ok || !bytes.Equal(got, want) {
			t.Fatalf("item %d is %x, want %x", i, got, want)
		}
		joined = append(joined, want...)
	}
	if !bytes.Equal(joined, b) {
		t.Fatalf("the items of %x are %x", b, joined)
	}
}

// checkEdit sets a field, reads it back and takes it out again.
func checkEdit(t *testing.T, b []byte, id uint64) {
	v := value{raw: []byte("\x06\x02hi")}
	set := newEdit(b, id, &v)
	changed := set.apply()
	if err := can.Valid(changed); err != nil || uint64(len(changed)) != set.length {
		t.Fatalf("%x became %x: %v, length %d", b, changed, err, set.length)
	}
	key := can.AppendUint(nil, id)
	at := find(changed, key)
	if !at.found || string(changed[at.value:at.end]) != string(v.raw) {
		t.Fatalf("field %d is not in %x", id, changed)
	}
	cleared := newEdit(changed, id, &value{})
	without := cleared.apply()
	if err := can.Valid(without); err != nil || uint64(len(without)) != cleared.length || find(without, key).found {
		t.Fatalf("%x became %x: %v", changed, without, err)
	}
	if !find(b, key).found && !bytes.Equal(without, b) {
		t.Fatalf("%x became %x", b, without)
	}
}
