package wasm

import (
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/abi"
)

// FuzzFetch: no request makes newFetch panic, and what it takes is within the
// bounds of RFC-MYTHOS-0006 §11.4, each header as it was written but for its
// placeholders.
func FuzzFetch(f *testing.F) {
	for _, value := range []string{"", "plain", "Bearer {{secret:key}}", "{{secret:a}}{{secret:b}}", "{{secret:", "{{secret:}}", "}}{{"} {
		x := abi.HTTPRequest{Method: "GET", Url: "https://a.example/", Headers: []abi.HTTPHeader{{Name: "x", Value: value}}}
		f.Add(x.AppendCAN(nil))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := newFetch(raw)
		if err != nil {
			return
		}
		x, err := abi.DecodeHTTPRequest(raw)
		if err != nil || got.MaxBody > abi.MaxHTTPBody || got.Redirects > abi.MaxHTTPRedirects || got.Timeout < 0 || len(got.values) != len(x.Headers) {
			t.Fatalf("%v: %+v", err, got)
		}
		for i, parts := range got.values {
			var whole strings.Builder
			for _, p := range parts {
				whole.WriteString(p.text)
				if p.secret != "" {
					whole.WriteString(secretOpen + p.secret + secretClose)
				}
			}
			if whole.String() != x.Headers[i].Value {
				t.Fatalf("header %q became %q", x.Headers[i].Value, parts)
			}
		}
	})
}
