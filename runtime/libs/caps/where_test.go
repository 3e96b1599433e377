package caps

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// TestParseWhere reads constraints as people write them, and writes them back.
func TestParseWhere(t *testing.T) {
	for text, want := range map[string]struct{ key, value, back string }{
		"amount:le=500":                 {"arg/amount:le", "03f403", "amount:le=500"},
		"/amount:ge=-1":                 {"arg/amount:ge", "0401", "amount:ge=-1"},
		"to:eq=acme":                    {"arg/to:eq", "060461636d65", `to:eq="acme"`},
		`to:eq="7"`:                     {"arg/to:eq", "060137", `to:eq="7"`},
		`to:in=["acme","beto"]`:         {"arg/to:in", "0702060461636d6506046265746f", `to:in=["acme","beto"]`},
		"items/0/sku:prefix=a-":         {"arg/items/0/sku:prefix", "0602612d", `items/0/sku:prefix="a-"`},
		":eq=null":                      {"arg:eq", "00", ":eq=null"},
		"a:b:eq=true":                   {"arg/a:b:eq", "02", "a:b:eq=true"},
		"x:eq=y:le=1":                   {"arg/x:eq", "0606793a6c653d31", `x:eq="y:le=1"`},
		`blob:prefix={"$bytes":"00ff"}`: {"arg/blob:prefix", "050200ff", `blob:prefix={"$bytes":"00ff"}`},
	} {
		key, value, err := ParseWhere(text)
		if err != nil || key != want.key || value != want.value {
			t.Errorf("%s: %q %q %v, want %q %q", text, key, value, err, want.key, want.value)
			continue
		}
		if got := FormatConstraint(key, value); got != want.back {
			t.Errorf("%s is shown as %s", text, got)
		}
	}
	for _, text := range []string{
		"", "amount", "amount<5", "amount:lt=5", "amount:le", "amount:le=", "amount:le=much", "amount:le=1.5", "amount:le=[1", "amount:le=1 2",
		"to:in=acme", "a~2:eq=1", "amount:prefix=5", "to:eq=\xff", "to:eq=1e9",
	} {
		if key, value, err := ParseWhere(text); !errors.Is(err, ErrConstraint) {
			t.Errorf("%q: %q %q %v", text, key, value, err)
		}
	}
}

// TestFormatConstraint: what is no constraint about an argument stands as it is.
func TestFormatConstraint(t *testing.T) {
	for _, c := range [][2]string{{"ring_max", "0"}, {"ring_max", "x"}, {"max_amount", "5"}, {"arg/a:le", "zz"}} {
		if got := FormatConstraint(c[0], c[1]); got != c[0]+"="+c[1] {
			t.Errorf("%q", got)
		}
	}
}

// A constraint that can be written by hand reads as the same constraint.
func FuzzWhere(f *testing.F) {
	for _, s := range []string{"amount:le=500", `to:in=["a"]`, "a/b~1c:eq=x", ":eq=null", "a:le:eq=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, value, err := ParseWhere(text)
		if err != nil {
			return
		}
		if list, bad := parseConstraints(map[string]string{key: value}); bad != nil || len(list) != 1 {
			t.Fatalf("%q gives %q = %q, which is none: %+v", text, key, value, bad)
		}
		again, value2, err := ParseWhere(FormatConstraint(key, value))
		if err != nil || again != key || value2 != value {
			t.Fatalf("%q is shown as %q, which reads %q %q %v", text, FormatConstraint(key, value), again, value2, err)
		}
	})
}

// TestAttenuate: a narrower link is added, and what is wider in a cell is refused with
// the denial that names it.
func TestAttenuate(t *testing.T) {
	root := proofOf(t, steps()[:1])
	child := steps()[1]
	base := child.cap
	base.AttenuationParent = nil
	p, err := Attenuate(root, base, holder())
	if err != nil || p.Len() != 2 || *p.Leaf().AttenuationParent != root.LeafID() {
		t.Fatalf("%v", err)
	}
	if string(p.Raw()) == string(root.Raw()) || root.Len() != 1 {
		t.Error("the parent was changed")
	}
	for name, c := range map[string]struct {
		edit func(*Capability)
		by   sig.Signer
		rule string
	}{
		"a stranger":    {func(*Capability) {}, stranger(), RuleIssuer},
		"the window":    {func(c *Capability) { c.ExpiresAt = root.Leaf().ExpiresAt + 1 }, holder(), RuleWindow},
		"more calls":    {func(c *Capability) { c.Scope = widerCalls(t, c.Scope) }, holder(), RuleSubset},
		"no constraint": {func(c *Capability) { c.Scope = freeCalls(t, c.Scope) }, holder(), RuleConstraintSubset},
	} {
		x := base
		c.edit(&x)
		_, err := Attenuate(root, x, c.by)
		var d *Denial
		if !errors.As(err, &d) || d.Rule != c.rule || d.Link != 1 {
			t.Errorf("%s: %v, want rule %s of link 1", name, err, c.rule)
		}
	}
}

func editCall(t *testing.T, s Scope, edit func(*ToolCall)) Scope {
	t.Helper()
	x, err := decode[ToolCall](s.Payload)
	if err != nil {
		t.Fatal(err)
	}
	edit(x)
	return ScopeOf(x)
}

func widerCalls(t *testing.T, s Scope) Scope {
	return editCall(t, s, func(x *ToolCall) { x.MaxCalls = 1 << 31 })
}

func freeCalls(t *testing.T, s Scope) Scope {
	return editCall(t, s, func(x *ToolCall) { x.Constraints = nil })
}

// TestKnownChainsHaveTheSameVerdict: for whatever is changed in a chain or its use,
// what Verify remembers of the links changes no verdict, its link and rule included.
func TestKnownChainsHaveTheSameVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := steps()
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			s := list[rapid.IntRange(0, len(list)-1).Draw(t, "link")]
			switch rapid.IntRange(0, 6).Draw(t, "change") {
			case 0:
				s.cap.ExpiresAt += rapid.Int64Range(-5, 5).Draw(t, "by")
			case 1:
				s.cap.NotBefore += rapid.Int64Range(-5, 5).Draw(t, "by")
			case 2:
				s.cap.Delegable = !s.cap.Delegable
			case 3:
				s.cap.Subject = stranger().Agent()
			case 4:
				s.editCall(t, func(x *ToolCall) { x.MaxCalls = uint32(rapid.IntRange(0, 20).Draw(t, "calls")) })
			case 5:
				s.editCall(t, func(x *ToolCall) {
					x.Constraints = limits("arg/amount:le", number(uint64(rapid.IntRange(0, 900).Draw(t, "limit"))))
				})
			case 6:
				s.cap.RevocationRequired = true
			}
		}
		c := proofOf(t, list)
		v, err := c.Verify()
		if err != nil {
			t.Fatal(err)
		}
		u := use()
		u.Now += rapid.Int64Range(-3, 3).Draw(t, "now")
		_, known := v.Check(u)
		_, plain := Verified{chain: v.chain}.Check(u)
		if text(known) != text(plain) {
			t.Fatalf("known: %v\nplain: %v", known, plain)
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return strings.TrimSpace(err.Error())
}
