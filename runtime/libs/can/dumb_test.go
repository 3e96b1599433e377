package can

import (
	"bytes"
	"math/big"
	"slices"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// dumb is a second decoder, written from RFC-MYTHOS-0001 §2 for obviousness:
// it builds a tree, with big integers, and panics with the first fault.
type dumb struct {
	in []byte
	at int
}

type dumbFault struct {
	code fault.Code
	at   int
}

type tree struct {
	tag   byte
	num   *big.Int // UVARINT, IVARINT (zigzag)
	text  []byte   // BYTES, TEXT
	items []tree   // LIST; MAP: key, value, key, value, ...
}

// dumbDecode returns the tree, or the fault.
func dumbDecode(in []byte) (t tree, f *dumbFault) {
	defer func() {
		if x, ok := recover().(dumbFault); ok {
			f = &x
		}
	}()
	d := &dumb{in: in}
	t = d.value(0)
	if d.at != len(in) {
		panic(dumbFault{ErrTrailing, d.at})
	}
	return t, nil
}

func (d *dumb) varint(item int) *big.Int {
	v := new(big.Int)
	for i := 0; ; i++ {
		if d.at == len(d.in) {
			panic(dumbFault{ErrTruncated, item})
		}
		c := d.in[d.at]
		d.at++
		if i == 9 && c > 1 {
			panic(dumbFault{ErrOverflow, item})
		}
		v.Or(v, new(big.Int).Lsh(big.NewInt(int64(c&0x7f)), uint(7*i)))
		if c < 0x80 {
			if c == 0 && i > 0 {
				panic(dumbFault{ErrVarint, item})
			}
			return v
		}
	}
}

func (d *dumb) value(depth int) tree {
	item := d.at
	if item == len(d.in) {
		panic(dumbFault{ErrTruncated, item})
	}
	t := tree{tag: d.in[item]}
	d.at++
	if t.tag > 8 {
		panic(dumbFault{ErrTag, item})
	}
	if t.tag < 3 {
		return t
	}
	t.num = d.varint(item)
	if t.tag < 5 {
		return t
	}
	left := int64(len(d.in) - d.at)
	if t.tag == 8 {
		left /= 2
	}
	if t.num.Cmp(big.NewInt(left)) > 0 {
		panic(dumbFault{ErrBounds, item})
	}
	n := int(t.num.Int64())
	if t.tag < 7 {
		t.text = d.in[d.at : d.at+n]
		d.at += n
		if t.tag == 6 && !utf8.Valid(t.text) {
			panic(dumbFault{ErrUTF8, item})
		}
		return t
	}
	if depth == 32 {
		panic(dumbFault{ErrDepth, item})
	}
	var last []byte
	for range n {
		start := d.at
		t.items = append(t.items, d.value(depth+1))
		if t.tag == 7 {
			continue
		}
		key := d.in[start:d.at]
		switch c := bytes.Compare(last, key); {
		case last == nil:
		case c > 0:
			panic(dumbFault{ErrKeyOrder, start})
		case c == 0:
			panic(dumbFault{ErrKeyDuplicate, start})
		}
		last = key
		t.items = append(t.items, d.value(depth+1))
	}
	return t
}

// encode is the dumb encoder.
func (t tree) encode() []byte {
	out := []byte{t.tag}
	if t.tag < 3 {
		return out
	}
	for v := new(big.Int).Set(t.num); ; {
		c := byte(new(big.Int).And(v, big.NewInt(0x7f)).Int64())
		if v.Rsh(v, 7); v.Sign() == 0 {
			out = append(out, c)
			break
		}
		out = append(out, c|0x80)
	}
	out = append(out, t.text...)
	for _, x := range t.items {
		out = append(out, x.encode()...)
	}
	return out
}

// append encodes t with this package's encoders.
func (t tree) append(b []byte) []byte {
	switch t.tag {
	case Null:
		return AppendNull(b)
	case False, True:
		return AppendBool(b, t.tag == True)
	case Uint:
		return AppendUint(b, t.num.Uint64())
	case Int:
		u := t.num.Uint64()
		return AppendInt(b, int64(u>>1)^-int64(u&1))
	case Bytes:
		return AppendBytes(b, t.text)
	case Text:
		return AppendText(b, string(t.text))
	case List:
		b = AppendList(b, len(t.items))
	default:
		b = AppendMap(b, len(t.items)/2)
	}
	for _, x := range t.items {
		b = x.append(b)
	}
	return b
}

// agree holds Valid, and what follows from it, to the dumb decoder.
func agree(t interface {
	Helper()
	Fatalf(string, ...any)
}, in []byte,
) {
	t.Helper()
	x, f := dumbDecode(in)
	err := Valid(in)
	if f != nil {
		got, ok := err.(*fault.Error)
		if !ok || got.Code != f.code || got.Offset != f.at {
			t.Fatalf("%x: got %v, the dumb decoder says %s at %d", in, err, f.code, f.at)
		}
		return
	}
	if err != nil {
		t.Fatalf("%x: got %v, the dumb decoder accepts it", in, err)
	}
	if again := x.encode(); !bytes.Equal(again, in) {
		t.Fatalf("%x: the dumb encoder makes %x", in, again)
	}
	if again := x.append(nil); !bytes.Equal(again, in) {
		t.Fatalf("%x: re-encoded as %x", in, again)
	}
	view, err := AppendJSON(nil, in)
	if err != nil {
		t.Fatalf("%x: %v", in, err)
	}
	if back, err := FromJSON(view); err != nil || !bytes.Equal(back, in) {
		t.Fatalf("%x: %s comes back as %x, %v", in, view, back, err)
	}
}

// drawValue draws one canonical value.
func drawValue(t *rapid.T, depth int) tree {
	top := byte(Map)
	if depth == 0 {
		top = Text
	}
	x := tree{tag: rapid.ByteRange(0, top).Draw(t, "tag")}
	switch x.tag {
	case Uint, Int:
		x.num = new(big.Int).SetUint64(rapid.Uint64().Draw(t, "number"))
	case Bytes:
		x.text = rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes")
	case Text:
		x.text = []byte(rapid.StringN(0, 60, -1).Draw(t, "text"))
	case List, Map:
		for range rapid.IntRange(0, 4).Draw(t, "count") {
			x.items = append(x.items, drawValue(t, depth-1))
		}
	}
	if x.tag == Map {
		x.items = drawPairs(t, x.items, depth)
	}
	switch {
	case x.tag == Bytes || x.tag == Text:
		x.num = big.NewInt(int64(len(x.text)))
	case x.tag == List:
		x.num = big.NewInt(int64(len(x.items)))
	case x.tag == Map:
		x.num = big.NewInt(int64(len(x.items) / 2))
	}
	return x
}

// drawPairs sorts keys, drops equal ones and gives each a value.
func drawPairs(t *rapid.T, keys []tree, depth int) []tree {
	slices.SortFunc(keys, func(a, b tree) int { return bytes.Compare(a.encode(), b.encode()) })
	keys = slices.CompactFunc(keys, func(a, b tree) bool { return bytes.Equal(a.encode(), b.encode()) })
	var items []tree
	for _, k := range keys {
		items = append(items, k, drawValue(t, depth-1))
	}
	return items
}

func TestValuesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := drawValue(t, 4).encode()
		agree(t, raw)
		damaged := slices.Clone(raw)
		damaged[rapid.IntRange(0, len(raw)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		agree(t, damaged)
		agree(t, raw[:rapid.IntRange(0, len(raw)-1).Draw(t, "cut")])
	})
}

// FuzzValid: what Valid accepts, and what it refuses where and why, is what
// the dumb decoder says; accepted bytes survive every way back.
func FuzzValid(f *testing.F) {
	for _, s := range []string{
		"", "\x00", "\x03\x80\x00", "\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"\x06\x03h\xc3\xa9", "\x07\x03\x03\x01\x04\x02\x00", "\x08\x02\x03\x01\x00\x03\x01\x00", "\x08\x01\x06\x02$a\x03\x01",
		"\x08\x04\x03\x7f\x00\x03\x80\x01\x00\x03\x80\x02\x00\x03\x81\x01\x00", "\x08\x01\x08\x01\x07\x00\x00\x07\x00",
	} {
		f.Add([]byte(s))
	}
	f.Add(bytes.Repeat([]byte{7, 1}, 33))
	f.Fuzz(func(t *testing.T, in []byte) { agree(t, in) })
}
