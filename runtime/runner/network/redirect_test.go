package network

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

// hop answers /CODE/URL with a redirect of that code to URL, and anything else
// with what it was asked.
func hop(w http.ResponseWriter, r *http.Request) {
	var status int
	path := strings.TrimPrefix(r.URL.Path, "/")
	if n, err := fmt.Sscanf(path, "%3d/", &status); n == 1 && err == nil && status >= 300 && status < 400 {
		w.Header().Set("Location", path[4:])
		w.WriteHeader(status)
		return
	}
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s secret=%q cookie=%q auth=%q type=%q body=%q", r.Method, r.Host,
		r.Header.Get("X-Key"), r.Header.Get("Cookie"), r.Header.Get("Authorization"), r.Header.Get("Content-Type"), body)
}

// TestRedirects: every hop is asked about, a private header stays at home, and
// the method changes as browsers change it.
func TestRedirects(t *testing.T) {
	s, other := serve(t, hop), serve(t, hop)
	port, otherPort := portOf(t, s.URL), portOf(t, other.URL)
	e := New(Options{Resolver: local("a.example", "b.example")})
	home, away, elsewhere := "http://a.example:"+port, "http://b.example:"+port, "http://a.example:"+otherPort
	kept := `secret="s" cookie="c" auth="u"`
	gone := `secret="" cookie="" auth=""`
	for name, c := range map[string]struct {
		method, path string
		want         string
		asked        []string
	}{
		"none":              {"POST", "/x", "POST a.example:" + port + " " + kept + ` type="t" body="b"`, []string{"POST a.example"}},
		"same origin":       {"POST", "/307/" + home + "/x", "POST a.example:" + port + " " + kept + ` type="t" body="b"`, []string{"POST a.example", "POST a.example"}},
		"relative":          {"PUT", "/308//x", "PUT a.example:" + port + " " + kept + ` type="t" body="b"`, []string{"PUT a.example", "PUT a.example"}},
		"another host":      {"PUT", "/308/" + away, "PUT b.example:" + port + " " + gone + ` type="t" body="b"`, []string{"PUT a.example", "PUT b.example"}},
		"another port":      {"PUT", "/308/" + elsewhere, "PUT a.example:" + otherPort + " " + gone + ` type="t" body="b"`, []string{"PUT a.example", "PUT a.example"}},
		"away and back":     {"PUT", "/308/" + away + "/308/" + home, "PUT a.example:" + port + " " + gone + ` type="t" body="b"`, []string{"PUT a.example", "PUT b.example", "PUT a.example"}},
		"POST, moved":       {"POST", "/301/" + home + "/x", "GET a.example:" + port + " " + kept + ` type="" body=""`, []string{"POST a.example", "GET a.example"}},
		"POST, found":       {"POST", "/302/" + home + "/x", "GET a.example:" + port + " " + kept + ` type="" body=""`, []string{"POST a.example", "GET a.example"}},
		"PUT, found":        {"PUT", "/302/" + home + "/x", "PUT a.example:" + port + " " + kept + ` type="t" body="b"`, []string{"PUT a.example", "PUT a.example"}},
		"DELETE, see other": {"DELETE", "/303/" + home + "/x", "GET a.example:" + port + " " + kept + ` type="" body=""`, []string{"DELETE a.example", "GET a.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := &guard{}
			res := e.Do(t.Context(), g.net(), Fetch{
				Method: c.method, Target: target(t, home+c.path), Body: []byte("b"), Redirects: 5, MaxBody: 1000,
				Headers: []Header{
					{Name: "x-key", Value: "s", Private: true},
					{Name: "cookie", Value: "c"},
					{Name: "authorization", Value: "u"},
					{Name: "content-type", Value: "t"},
				},
			})
			if wantCode(t, res, ""); string(res.Body) != c.want {
				t.Errorf("got  %s\nwant %s", res.Body, c.want)
			}
			asked := g.list()
			for i := range asked {
				asked[i] = strings.TrimSuffix(asked[i], " 127.0.0.1")
			}
			if !slices.Equal(asked, c.asked) {
				t.Errorf("asked %q, want %q", asked, c.asked)
			}
		})
	}
}

func TestRedirectsRefused(t *testing.T) {
	s := serve(t, hop)
	home := "http://a.example:" + portOf(t, s.URL)
	deny := func(c runner.Connect) bool { return c.Host != "a.example" }
	for name, c := range map[string]struct {
		path      string
		redirects int
		status    uint16
		code      fault.Code
	}{
		"to a denied host":   {"/302/http://b.example/", 5, 0, runner.ErrDenied},
		"to metadata":        {"/302/http://169.254.169.254/latest", 5, 0, runner.ErrDenied},
		"to a file":          {"/302/file:///etc/passwd", 5, 0, ErrTarget},
		"to a user":          {"/302/http://u:p@a.example/", 5, 0, ErrTarget},
		"to nothing":         {"/302/", 5, 302, ""},
		"none followed":      {"/302/" + home, 0, 302, ""},
		"one followed":       {"/302/" + home + "/302/" + home, 1, 0, ErrRedirects},
		"two followed":       {"/302/" + home + "/302/" + home, 2, 200, ""},
		"no redirect status": {"/304/" + home, 5, 304, ""},
		"a loop":             {"/302/" + strings.Repeat("/302/", 20), 5, 0, ErrRedirects},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(Options{Resolver: local("a.example", "b.example")})
			g := &guard{deny: deny}
			res := e.Do(t.Context(), g.net(), Fetch{Method: "GET", Target: target(t, home+c.path), Redirects: c.redirects, MaxBody: 1000})
			if wantCode(t, res, c.code); res.Status != c.status {
				t.Errorf("status %d, want %d", res.Status, c.status)
			}
		})
	}
}
