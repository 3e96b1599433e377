package node

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"demo-001", "demo", "pay/send", "net"}
	for text, want := range map[string]string{
		"dist/demo-001-0.1.0":           "demo-001",
		"demo-001-0.1.0.mythos.tgz":     "demo-001",
		"out/pay__send-1.0.0":           "pay/send",
		"pay/send@1.0.0":                "pay/send",
		"demo-1.0.0":                    "demo",
		"demo-01":                       "demo-001",
		"demo01":                        "demo-001",
		"pay/sand":                      "pay/send",
		"nut":                           "net",
		"something-else-altogether":     "",
		"x":                             "",
		"dist/another-0.1.0.mythos.tgz": "",
	} {
		if got := nearest(names, text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestEdits(t *testing.T) {
	for _, x := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"demo", "demo", 0}, {"abc", "acb", 2}} {
		if got := edits(x.a, x.b); got != x.want {
			t.Errorf("%q, %q: %d, want %d", x.a, x.b, got, x.want)
		}
	}
}
