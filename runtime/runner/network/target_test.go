package network

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for text, want := range map[string]string{
		"http://example.org":                  "http://example.org",
		"http://Example.ORG:8080/a?b#c":       "http://example.org:8080/a?b",
		"https://example.org:443/":            "https://example.org:443/",
		"https://127.0.0.1/":                  "https://127.0.0.1/",
		"http://[2001:db8::1]:81/x":           "http://[2001:db8::1]:81/x",
		"http://[2001:db8::1]/":               "http://[2001:db8::1]/",
		"HTTP://a_b.example/":                 "http://a_b.example/",
		"ftp://example.org/":                  "",
		"example.org/":                        "",
		"//example.org/":                      "",
		"http:example.org":                    "",
		"http://":                             "",
		"http:///path":                        "",
		"http://user:pw@example.org/":         "",
		"http://user@example.org/":            "",
		"http://example.org:0/":               "",
		"http://example.org:65536/":           "",
		"http://example.org:080/":             "",
		"http://example.org:http/":            "",
		"http://example.org./":                "",
		"http://127.1/":                       "",
		"http://0x7f000001/":                  "",
		"http://2130706433/":                  "",
		"http://010.0.0.1/":                   "",
		"http://[::ffff:127.0.0.1]/":          "",
		"http://[fe80::1%25eth0]/":            "",
		"http://[::0001]/":                    "",
		"http://-a.example/":                  "",
		"http://a..example/":                  "",
		"http://ex%61mple.org/":               "",
		"http://exämple.org/":                 "",
		"http://a b/":                         "",
		"http://a.example\r\nx: y/":           "",
		"http://" + strings.Repeat("a.", 130): "",
	} {
		got, err := ParseURL(text)
		switch {
		case want == "" && !errors.Is(err, ErrTarget):
			t.Errorf("%q: %v, %v", text, got, err)
		case want != "" && (err != nil || got.String() != want):
			t.Errorf("%q: %q, %v, want %q", text, got.String(), err, want)
		}
	}
}

func TestParseAuthority(t *testing.T) {
	for text, want := range map[string]Target{
		"example.org:443":   {Host: "example.org", Port: 443},
		"EXAMPLE.org:1":     {Host: "example.org", Port: 1},
		"[2001:db8::1]:443": {Host: "2001:db8::1", Port: 443},
		"10.0.0.1:22":       {Host: "10.0.0.1", Port: 22},
		"example.org":       {},
		"example.org:":      {},
		"example.org:0":     {},
		":443":              {},
		"2001:db8::1:443":   {},
		"a b:443":           {},
		"127.1:80":          {},
		"":                  {},
	} {
		got, err := parseAuthority(text)
		if got != want || (want == Target{}) != errors.Is(err, ErrTarget) {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
}

// FuzzTarget: whatever is taken for a URL has a host that no resolver takes for
// something else, and is read again as itself.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"http://example.org/", "https://127.0.0.1:8443/a?b", "http://[2001:db8::1]/", "http://0x7f.1/", "http://a@b/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x, err := ParseURL(text)
		if err != nil {
			return
		}
		if _, ok := literal(x.Host); !ok && !soundName(x.Host) {
			t.Fatalf("%q has host %q", text, x.Host)
		}
		u, err := url.Parse(x.String())
		if err != nil || u.Hostname() != x.Host || u.User != nil || x.Port == 0 {
			t.Fatalf("%q is requested as %q, host %q: %v", text, x.String(), x.Host, err)
		}
		again, err := ParseURL(x.String())
		if err != nil || again.Host != x.Host || again.Port != x.Port {
			t.Fatalf("%q: %+v, then %+v, %v", text, x, again, err)
		}
	})
}
