package caps

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// value builds canonical values out of Go ones: string, int, uint64, []byte,
// list and pairs.
type (
	list  []any
	pairs []any
)

func value(v any) []byte {
	switch v := v.(type) {
	case nil:
		return can.AppendNull(nil)
	case bool:
		return can.AppendBool(nil, v)
	case string:
		return can.AppendText(nil, v)
	case []byte:
		return can.AppendBytes(nil, v)
	case int:
		return can.AppendInt(nil, int64(v))
	case int64:
		return can.AppendInt(nil, v)
	case uint64:
		return can.AppendUint(nil, v)
	case list:
		b := can.AppendList(nil, len(v))
		for _, x := range v {
			b = append(b, value(x)...)
		}
		return b
	case pairs:
		b := can.AppendMap(nil, len(v)/2)
		for _, x := range v {
			b = append(b, value(x)...)
		}
		return b
	}
	panic("a test value of an unknown type")
}

// evaluate asks one constraint about one call, through the whole of Check.
func evaluate(t *testing.T, key, text string, edit func(*Call)) error {
	t.Helper()
	u := use()
	edit(u.Call)
	_, err := one(t, ScopeOf(&ToolCall{ToolID: u.Call.Tool, MaxCalls: 1, Constraints: limits(key, text)})).Check(u)
	return err
}

func TestArguments(t *testing.T) {
	u := func(n uint64) uint64 { return n }
	example := pairs{"to", "acme", "amount", u(250)}
	for _, c := range []struct {
		name, pointer, op string
		operand, payload  any
		ok                bool
	}{
		{"eq", "/to", OpEq, "acme", example, true},
		{"eq other", "/to", OpEq, "acm", example, false},
		{"eq is by bytes", "/amount", OpEq, 250, example, false},
		{"eq of the whole payload", "", OpEq, example, example, true},
		{"eq of a container", "/a", OpEq, list{u(1)}, pairs{"a", list{u(1)}}, true},
		{"eq NULL", "/a", OpEq, nil, pairs{"a", nil}, true},
		{"eq NULL does not mean missing", "/cc", OpEq, nil, example, false},
		{"in", "/to", OpIn, list{"acme", "beto"}, example, true},
		{"in other", "/to", OpIn, list{"beto"}, example, false},
		{"in empty", "/to", OpIn, list{}, example, false},
		{"in looks at items only", "/to", OpIn, list{list{"acme"}}, example, false},
		{"in with a list in the request", "/to", OpIn, list{"acme"}, pairs{"to", list{"acme"}}, false},
		{"le", "/amount", OpLe, u(500), example, true},
		{"le equal", "/amount", OpLe, u(250), example, true},
		{"le across types", "/amount", OpLe, 250, example, true},
		{"le too high", "/amount", OpLe, 100, example, false},
		{"le negative limit", "/amount", OpLe, -1, example, false},
		{"le negative value", "/a", OpLe, u(0), pairs{"a", -1}, true},
		{"le u64 above i64", "/a", OpLe, int64(1<<63 - 1), pairs{"a", u(1 << 63)}, false},
		{"le lowest", "/a", OpLe, int64(-1 << 63), pairs{"a", int64(-1 << 63)}, true},
		{"le lowest below", "/a", OpLe, int64(-1<<63 + 1), pairs{"a", int64(-1 << 63)}, true},
		{"le not below the lowest", "/a", OpLe, int64(-1 << 63), pairs{"a", int64(-1<<63 + 1)}, false},
		{"le text", "/to", OpLe, u(500), example, false},
		{"le true", "/a", OpLe, u(500), pairs{"a", true}, false},
		{"ge", "/amount", OpGe, -5, example, true},
		{"ge equal", "/amount", OpGe, u(250), example, true},
		{"ge too low", "/amount", OpGe, u(251), example, false},
		{"ge negative value", "/a", OpGe, u(0), pairs{"a", -1}, false},
		{"ge u64 above i64", "/a", OpGe, int64(1<<63 - 1), pairs{"a", u(1 << 63)}, true},
		{"ge zero in both types", "/a", OpGe, u(0), pairs{"a", 0}, true},
		{"le zero in both types", "/a", OpLe, 0, pairs{"a", u(0)}, true},
		{"prefix", "/to", OpPrefix, "ac", example, true},
		{"prefix empty", "/to", OpPrefix, "", example, true},
		{"prefix whole", "/to", OpPrefix, "acme", example, true},
		{"prefix too long", "/to", OpPrefix, "acme!", example, false},
		{"prefix other", "/to", OpPrefix, "be", example, false},
		{"prefix bytes", "/a", OpPrefix, []byte{1}, pairs{"a", []byte{1, 2}}, true},
		{"prefix bytes of text", "/to", OpPrefix, []byte("ac"), example, false},
		{"prefix text of bytes", "/a", OpPrefix, "ac", pairs{"a", []byte("acme")}, false},
		{"prefix of an integer", "/amount", OpPrefix, "2", example, false},
		{"prefix is not of the encoding", "/a", OpPrefix, "a", pairs{"a", list{"a"}}, false},

		{"pointer to nothing", "/cc", OpEq, "acme", example, false},
		{"pointer behind a leaf", "/to/0", OpEq, "acme", example, false},
		{"pointer nested", "/a/1/b", OpEq, u(7), pairs{"a", list{nil, pairs{"b", u(7)}}}, true},
		{"pointer to the first item", "/0", OpEq, u(7), list{u(7)}, true},
		{"pointer past the list", "/1", OpEq, u(7), list{u(7)}, false},
		{"pointer - of RFC 6902", "/-", OpEq, u(7), list{u(7)}, false},
		{"pointer with a leading zero", "/00", OpEq, u(7), list{u(7)}, false},
		{"pointer with a plus", "/+0", OpEq, u(7), list{u(7)}, false},
		{"pointer beyond u64", "/18446744073709551616", OpEq, u(7), pairs{u(0), u(7)}, false},
		{"pointer of the highest u64", "/18446744073709551615", OpEq, u(7), pairs{u(1<<64 - 1), u(7)}, true},
		{"pointer name into a list", "/a", OpEq, u(7), list{u(7)}, false},
		{"field number", "/4", OpEq, u(7), pairs{u(4), u(7)}, true},
		{"number as text", "/4", OpEq, u(7), pairs{"4", u(7)}, true},
		{"number in both forms", "/4", OpEq, u(7), pairs{u(4), u(7), "4", u(7)}, false},
		{"number in both forms, one deeper", "/4/x", OpEq, u(7), pairs{u(4), pairs{"x", u(7)}, "4", nil}, false},
		{"both forms elsewhere", "/a", OpEq, u(7), pairs{u(4), nil, "4", nil, "a", u(7)}, true},
		{"a number that is not canonical is text", "/04", OpEq, u(7), pairs{u(4), u(8), "04", u(7)}, true},
		{"IVARINT key is no field number", "/4", OpEq, u(7), pairs{4, u(7)}, false},
		{"BYTES key is no name", "/a", OpEq, u(7), pairs{[]byte("a"), u(7)}, false},
		{"empty name", "/", OpEq, u(7), pairs{"", u(7)}, true},
		{"empty name is not the whole", "/", OpEq, u(7), u(7), false},
		{"slash in a name", "/a~1b", OpEq, u(7), pairs{"a/b", u(7)}, true},
		{"tilde in a name", "/a~0b", OpEq, u(7), pairs{"a~b", u(7)}, true},
		{"~01 is ~1", "/~01", OpEq, u(7), pairs{"~1", u(7)}, true},
		{"colon in a name", "/a:le", OpEq, u(7), pairs{"a:le", u(7)}, true},
		{"upper case differs", "/TO", OpEq, "acme", example, false},
		{"another normal form differs", "/e\u0301", OpEq, u(7), pairs{"\u00e9", u(7)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, text := Arg(c.pointer, c.op, value(c.operand))
			err := evaluate(t, key, text, func(x *Call) { x.Payload = value(c.payload) })
			if c.ok && err != nil {
				t.Errorf("denied: %v", err)
			}
			if !c.ok {
				wantDenial(t, err, ErrConstraint, 0, RuleConstraintUse)
			}
		})
	}
}

func TestOtherConstraints(t *testing.T) {
	nothing := func(*Call) {}
	for _, c := range []struct {
		name, key, text string
		edit            func(*Call)
		ok              bool
	}{
		{"package", "package", hashOf("package").String(), nothing, true},
		{"package other", "package", hashOf("other").String(), nothing, false},
		{"module", "module", hashOf("module").String(), nothing, true},
		{"module other", "module", hashOf("package").String(), nothing, false},
		{"request", "request_hash", hashOf("request").String(), nothing, true},
		{"request other", "request_hash", hashOf("other").String(), nothing, false},
		{"ledger", "ledger", hashOf("ledger").Hex(), nothing, true},
		{"ledger other", "ledger", hashOf("other").Hex(), nothing, false},
		{"ledger without id", "ledger", hashOf("ledger").Hex(), func(c *Call) { c.Ledger = [32]byte{} }, false},
		{"ledger zero", "ledger", (&Call{}).Ledger.Hex(), func(c *Call) { c.Ledger = [32]byte{} }, false},
		{"ring equal", "ring_max", "2", func(c *Call) { c.Ring = 2 }, true},
		{"ring above", "ring_max", "2", func(c *Call) { c.Ring = 3 }, false},
		{"ring zero", "ring_max", "0", nothing, true},
		{"ring highest", "ring_max", "255", func(c *Call) { c.Ring = 255 }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := fault.Code(ErrConstraint)
			if c.ok {
				want = ""
			}
			wantCode(t, evaluate(t, c.key, c.text, c.edit), want)
		})
	}
}

// Whatever is not in the vocabulary denies, even where it would hold.
func TestVocabularyIsClosed(t *testing.T) {
	hash := hashOf("package").String()
	for _, c := range []struct{ name, key, text string }{
		{"unknown key", "max_amount", "500"},
		{"empty key", "", ""},
		{"upper case", "Package", hash},
		{"bare digest", "package", hash[7:]},
		{"upper-case hash", "package", "SHA256:" + hash[7:]},
		{"short hash", "package", hash[:70]},
		{"prefixed ledger", "ledger", hashOf("ledger").String()},
		{"ring with a leading zero", "ring_max", "00"},
		{"ring with a sign", "ring_max", "+1"},
		{"ring with a space", "ring_max", " 1"},
		{"ring too large", "ring_max", "256"},
		{"ring empty", "ring_max", ""},
		{"ring in hex", "ring_max", "0x1"},
		{"arg without operator", "arg/amount", "03f403"},
		{"arg with an unknown operator", "arg/amount:lt", "03f403"},
		{"arg with an empty operator", "arg/amount:", "03f403"},
		{"arg with an upper-case operator", "arg/amount:LE", "03f403"},
		{"arg without a slash", "argamount:le", "03f403"},
		{"arg with another separator", "arg.amount:le", "03f403"},
		{"arg with a bad escape", "arg/a~2:le", "03f403"},
		{"arg with a bare tilde", "arg/a~:le", "03f403"},
		{"arg with ~~01", "arg/~~01:le", "03f403"},
		{"upper-case hex", "arg/amount:le", "03F403"},
		{"odd hex", "arg/amount:le", "03f40"},
		{"no value", "arg/amount:le", ""},
		{"two values", "arg/amount:le", "03010301"},
		{"not canonical", "arg/amount:le", "038100"},
		{"le TEXT", "arg/amount:le", "0600"},
		{"ge true", "arg/amount:ge", "02"},
		{"in MAP", "arg/amount:in", "0800"},
		{"in item", "arg/amount:in", "03fa01"},
		{"prefix integer", "arg/amount:prefix", "0301"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantDenial(t, evaluate(t, c.key, c.text, func(*Call) {}), ErrConstraint, 0, RuleConstraintUse)
		})
	}
}

func TestMostConstraints(t *testing.T) {
	for n, code := range map[int]fault.Code{MaxConstraints: "", MaxConstraints + 1: ErrConstraint} {
		m := map[string]string{}
		for i := range n {
			k, v := Arg("/"+strings.Repeat("0", i), OpEq, []byte{can.Null})
			m[k] = v
		}
		wantCode(t, CheckScope(ScopeOf(&ToolCall{Constraints: m})), code)
	}
}

func TestArg(t *testing.T) {
	k1, v1 := Arg("/amount", OpLe, can.AppendUint(nil, 500))
	k2, v2 := Arg("", OpEq, can.AppendNull(nil))
	if diff := cmp.Diff([]string{"arg/amount:le", "03f403", "arg:eq", "00"}, []string{k1, v1, k2, v2}); diff != "" {
		t.Error(diff)
	}
}

// Many pointers into one payload, shared prefixes, one walk.
func TestResolve(t *testing.T) {
	raw := value(list{list{uint64(0), uint64(1)}, pairs{uint64(7), "n", "7", "t", "a", pairs{"b", "deep"}}})
	got := resolveAll(raw, []string{"", "/0", "/0/1", "/0/1", "/1/a/b", "/1/a", "/1/7", "/2", "/0/1/x", "/3", "/4", "/5"})
	want := map[string][]byte{
		"": raw, "/0": value(list{uint64(0), uint64(1)}), "/0/1": value(uint64(1)),
		"/1/a/b": value("deep"), "/1/a": value(pairs{"b", "deep"}),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := resolve(append(raw, 0), [][]string{{"0"}}); got != nil {
		t.Errorf("a payload with bytes behind resolves to %v", got)
	}
}

// resolveAll is resolve by pointers as text; what is missing is left out.
func resolveAll(payload []byte, pointers []string) map[string][]byte {
	var tokens [][]string
	for _, p := range pointers {
		t, _ := splitPointer(p)
		tokens = append(tokens, t)
	}
	out := map[string][]byte{}
	for i, v := range resolve(payload, tokens) {
		if v != nil {
			out[pointers[i]] = v
		}
	}
	return out
}

// TestRefusedSays: what is missing, of another type, and of another value are told
// apart, and no text of a payload is shown.
func TestRefusedSays(t *testing.T) {
	payload := value(pairs{uint64(7), uint64(1), "7", uint64(2), "to", "evil", "big", "60", "amount", uint64(250)})
	for _, x := range []struct{ where, want string }{
		{"amount:le=100", "the request has 250 there"},
		{"big:le=100", "the request has TEXT there, want an integer"},
		{"amount:prefix=ac", "the request has 250 there, want TEXT"},
		{`to:in=["acme"]`, "the request has another TEXT there"},
		{"to:eq=acme", "the request has another TEXT there"},
		{"nothing/at/all:eq=1", "the request has no argument nothing/at/all"},
		{"7:eq=1", "the request has two arguments that 7 may mean"},
		{"amount:le=250", ""},
	} {
		key, text, err := ParseWhere(x.where)
		if err != nil {
			t.Fatal(err)
		}
		c, why := parseConstraint(key, text)
		if why != "" {
			t.Fatal(why)
		}
		if got := c.holds(&Call{Payload: payload}, resolve(payload, [][]string{c.tokens})); got != x.want {
			t.Errorf("%s: %q, want %q", x.where, got, x.want)
		}
	}
}
