package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
)

const secretText = "s3cr3t-value-of-the-key"

func secretOf(name, value string, err error) runner.Secret {
	return runner.Secret{Name: name, Value: func() ([]byte, error) { return []byte(value), err }}
}

// holds reports where a secret can be seen after a call.
func holds(res runner.Result, secret string) string {
	for name, b := range map[string][]byte{
		"response": res.Response, "transcript": res.Transcript, "log": res.Log, "detail": []byte(res.Detail),
		"objects": bytes.Join(res.Objects, nil),
	} {
		if bytes.Contains(b, []byte(secret)) {
			return name
		}
	}
	return ""
}

// TestSecrets: the host fills a secret in after the request was recorded; the
// value is on the wire, at the request's own origin, and nowhere else.
func TestSecrets(t *testing.T) {
	var got []string
	note := func(r *http.Request) { got = append(got, r.Header.Get("Authorization")+"|"+r.Header.Get("X-Two")) }
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { note(r) }))
	t.Cleanup(other.Close)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note(r)
		switch r.URL.Path {
		case "/echo":
			fmt.Fprint(w, "you sent ", r.Header.Get("Authorization"))
		case "/header":
			w.Header().Set("X-Back", r.Header.Get("Authorization"))
		case "/location":
			http.Redirect(w, r, other.URL+"/?"+secretText, http.StatusFound)
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		}
	}))
	t.Cleanup(s.Close)
	granted := []runner.Secret{
		secretOf("key", secretText, nil), secretOf("pin", "17", nil), secretOf("lines", secretText+"\r\nx: y", nil),
		secretOf("lost", "", fault.New("secret_unreadable", "the file with %s is gone", secretText)),
	}
	for name, c := range map[string]struct {
		path, value string
		code        fault.Code // of the response
		failed      int32      // what http gives instead of one
		outcome     runner.Outcome
		sent        []string
	}{
		"filled in":      {"/", "Bearer {{secret:key}}", "", 0, runner.Answered, []string{"Bearer " + secretText + "|plain"}},
		"twice":          {"/", "{{secret:key}}:{{secret:pin}}", "", 0, runner.Answered, []string{secretText + ":17|plain"}},
		"a short echo":   {"/echo", "{{secret:pin}}", "", 0, runner.Answered, []string{"17|plain"}},
		"an echo":        {"/echo", "{{secret:key}}", ErrSecretEchoed, 0, runner.Answered, []string{secretText + "|plain"}},
		"in a header":    {"/header", "{{secret:key}}", ErrSecretEchoed, 0, runner.Answered, []string{secretText + "|plain"}},
		"in the URL":     {"/location", "{{secret:key}}", ErrSecretEchoed, 0, runner.Answered, []string{secretText + "|plain", "|plain"}},
		"another origin": {"/away", "{{secret:key}}", "", 0, runner.Answered, []string{secretText + "|plain", "|plain"}},
		"unknown":        {"/", "{{secret:other}}", "", -1, runner.Answered, nil},
		"line end":       {"/", "{{secret:lines}}", "", -1, runner.Answered, nil},
		"no name":        {"/", "{{secret:}}", "", -2, runner.Answered, nil},
		"not closed":     {"/", "{{secret:key", "", -2, runner.Answered, nil},
		"unreadable":     {"/", "{{secret:lost}}", "", 0, runner.Killed, nil},
		"braces":         {"/", "{{key}} }}", "", 0, runner.Answered, []string{"{{key}} }}|plain"}},
	} {
		t.Run(name, func(t *testing.T) {
			got = nil
			m := httpGuest((&abi.HTTPRequest{
				Method: "GET", Url: s.URL + c.path,
				Headers: []abi.HTTPHeader{{Name: "authorization", Value: c.value}, {Name: "x-two", Value: "plain"}},
			}).AppendCAN(nil))
			g := all()
			g.Secrets = granted
			res := call(t, open(t, Options{}), m, g)
			if res.Outcome != c.outcome || fmt.Sprint(got) != fmt.Sprint(c.sent) {
				t.Fatalf("%v (%s), sent %q, want %v %q", res.Outcome, res.Detail, got, c.outcome, c.sent)
			}
			if where := holds(res, secretText); where != "" {
				t.Errorf("the secret is in the %s", where)
			}
			switch {
			case c.outcome != runner.Answered:
				return
			case c.failed != 0:
				if n := answered(t, res)[0]; n != c.failed {
					t.Errorf("http gave %d, want %d", n, c.failed)
				}
			case c.code != "":
				if x := httpAnswer(t, res); x.Error == nil || x.Error.Code != string(c.code) || x.Status != 0 {
					t.Errorf("response %+v", x)
				}
			default:
				if x := httpAnswer(t, res); x.Error != nil || x.Status != 200 {
					t.Errorf("response %+v", x)
				}
			}
			again(t, m, res)
		})
	}
}

// TestSecretsOnlyInHeaders: a placeholder elsewhere is text.
func TestSecretsOnlyInHeaders(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 100)
		n, _ := r.Body.Read(body)
		fmt.Fprintf(w, "%s %s", r.URL.RawQuery, body[:n])
	}))
	t.Cleanup(s.Close)
	m := httpGuest((&abi.HTTPRequest{Method: "POST", Url: s.URL + "/?{{secret:key}}", Body: []byte("{{secret:key}}")}).AppendCAN(nil))
	g := all()
	g.Secrets = []runner.Secret{secretOf("key", secretText, nil)}
	if x := httpAnswer(t, call(t, open(t, Options{}), m, g)); string(x.Body) != "{{secret:key}} {{secret:key}}" {
		t.Errorf("%d %s %+v", x.Status, x.Body, x.Error)
	}
}

// TestHTTPDeadline: the call's own end ends a request; the transcript says that
// it was made.
func TestHTTPDeadline(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(s.Close)
	request := (&abi.HTTPRequest{Method: "GET", Url: s.URL}).AppendCAN(nil)
	m := httpGuest(request)
	m.Limits.Timeout = time.Second
	res := call(t, open(t, Options{}), m, all())
	if res.Outcome != runner.TimedOut || len(made(t, res)) != 1 {
		t.Errorf("%v (%s) by %q", res.Outcome, res.Detail, made(t, res))
	}
	soon := uint64(50_000)
	m = httpGuest((&abi.HTTPRequest{Method: "GET", Url: s.URL, TimeoutMicros: &soon}).AppendCAN(nil))
	res = call(t, open(t, Options{}), m, all())
	if x := httpAnswer(t, res); x.Error == nil || x.Error.Code != "network_timeout" {
		t.Errorf("a request with a time of its own: %+v", x)
	}
}

// TestReplayDiffers names every way in which a replay differs, and its code.
func TestReplayDiffers(t *testing.T) {
	m := worldly(strings.Repeat("d", 32),
		callFn(fnSecure, 4096, 4), []byte{opDrop}, blobCall(0, 8192, 8), []byte{opDrop}, answerOf(4096, 4), answerOf(8192, 8))
	was := call(t, open(t, Options{}), m, all())
	if was.Outcome != runner.Answered {
		t.Fatalf("%v: %s", was.Outcome, was.Detail)
	}
	again(t, m, was)
	large := append([]byte{5, 0x80, 0x80, 4}, make([]byte, 1<<16)...) // BYTES of 64 KiB
	for name, c := range map[string]struct {
		code   fault.Code
		change func(x *abi.Transcript, rec *runner.Recording)
	}{
		"a call less":       {runner.ErrTranscriptDiffers, func(x *abi.Transcript, _ *runner.Recording) { x.Calls = x.Calls[:1] }},
		"a call more":       {runner.ErrTranscriptDiffers, func(x *abi.Transcript, _ *runner.Recording) { x.Calls = append(x.Calls, x.Calls[0]) }},
		"another order":     {runner.ErrTranscriptDiffers, func(x *abi.Transcript, _ *runner.Recording) { x.Calls[0], x.Calls[1] = x.Calls[1], x.Calls[0] }},
		"another function":  {runner.ErrTranscriptDiffers, func(x *abi.Transcript, _ *runner.Recording) { x.Calls[0].Fn = "now_us" }},
		"another request":   {runner.ErrTranscriptDiffers, func(x *abi.Transcript, _ *runner.Recording) { x.Calls[0].Request = []byte{3, 5} }},
		"no response":       {runner.ErrTranscriptDiffers, func(x *abi.Transcript, _ *runner.Recording) { x.Calls[1].Response = nil }},
		"another response":  {runner.ErrTranscriptDiffers, func(x *abi.Transcript, _ *runner.Recording) { x.Calls[0].Response = []byte{5, 4, 1, 2, 3, 4} }},
		"a failure":         {runner.ErrTranscriptDiffers, func(x *abi.Transcript, _ *runner.Recording) { x.Calls[0].Response = fails(hostDenied) }},
		"no such failure":   {abi.ErrTranscript, func(x *abi.Transcript, _ *runner.Recording) { x.Calls[0].Response = fails(-5) }},
		"a success failure": {abi.ErrTranscript, func(x *abi.Transcript, _ *runner.Recording) { x.Calls[0].Response = fails(3) }},
		"too few bytes":     {abi.ErrTranscript, func(x *abi.Transcript, _ *runner.Recording) { x.Calls[0].Response = []byte{5, 1, 1} }},
		"too many bytes": {abi.ErrTranscript, func(x *abi.Transcript, _ *runner.Recording) {
			x.Calls[1].Response = append([]byte{5, 9}, make([]byte, 9)...)
		}},
		"no bytes": {abi.ErrTranscript, func(x *abi.Transcript, _ *runner.Recording) { x.Calls[0].Response = []byte{3, 1} }},
		"an object too many": {abi.ErrTranscript, func(x *abi.Transcript, _ *runner.Recording) {
			id := cid.Sum(large)
			x.Calls[0].Response, x.Calls[0].ResponseCID = nil, &id
		}},
		"a wrong object": {abi.ErrTranscript, func(x *abi.Transcript, rec *runner.Recording) {
			x.Calls[0].Response, x.Calls[0].ResponseCID = nil, new(cid.Hash)
			rec.Object = func(context.Context, cid.Hash, uint64) ([]byte, error) { return large, nil }
		}},
		"an object of no value": {abi.ErrTranscript, func(x *abi.Transcript, rec *runner.Recording) {
			id := cid.Sum([]byte{9})
			x.Calls[0].Response, x.Calls[0].ResponseCID = nil, &id
			rec.Object = func(context.Context, cid.Hash, uint64) ([]byte, error) { return []byte{9}, nil }
		}},
		"no calls at all": {abi.ErrTranscript, func(x *abi.Transcript, _ *runner.Recording) { x.Calls = nil }},
		"the response":    {runner.ErrTranscriptDiffers, func(_ *abi.Transcript, rec *runner.Recording) { rec.ResponseHash = new(cid.Hash) }},
	} {
		t.Run(name, func(t *testing.T) {
			x, err := abi.DecodeTranscript(was.Transcript)
			if err != nil {
				t.Fatal(err)
			}
			hash := cid.Sum(was.Response)
			rec := runner.Recording{ResponseHash: &hash}
			c.change(&x, &rec)
			rec.Transcript = x.AppendCAN(nil)
			r := open(t, Options{})
			if _, err := r.Replay(t.Context(), runner.Call{Module: m, Request: []byte("q")}, rec); fault.CodeOf(err) != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
	r := open(t, Options{})
	if _, err := r.Replay(t.Context(), runner.Call{Module: m, Request: []byte("q")}, runner.Recording{}); !errors.Is(err, runner.ErrTranscriptDiffers) {
		t.Errorf("without a recording: %v", err)
	}
	if _, err := r.Replay(t.Context(), runner.Call{Module: m, Request: []byte("q")}, runner.Recording{Transcript: []byte{9}}); err == nil {
		t.Error("garbage was taken for a transcript")
	}
}

// TestReplayForgedHTTP: a transcript cannot give a guest what no host gives.
func TestReplayForgedHTTP(t *testing.T) {
	request := (&abi.HTTPRequest{Method: "GET", Url: "http://a.example/"}).AppendCAN(nil)
	m := httpGuest(request)
	rec := runner.Recording{Transcript: (&abi.Transcript{Calls: []abi.IOCall{{Fn: "http", Request: request, Response: []byte{8, 0}}}}).AppendCAN(nil)}
	if _, err := open(t, Options{}).Replay(t.Context(), runner.Call{Module: m, Request: []byte("q")}, rec); fault.CodeOf(err) != abi.ErrTranscript {
		t.Errorf("%v", err)
	}
}

// TestReplayEnded: a replay that this host stopped says nothing about the module.
func TestReplayEnded(t *testing.T) {
	m := worldly("", callFn(fnNow), []byte{opDrop, opLoop, 0x40, opBr, 0, opEnd})
	m.Limits.Timeout = 100 * time.Millisecond
	r := open(t, Options{})
	was := call(t, r, m, all())
	res, err := r.Replay(t.Context(), runner.Call{Module: m, Request: []byte("q")}, recording(was))
	if err != nil || res.Outcome != runner.TimedOut {
		t.Errorf("%v, %v", res.Outcome, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	res, err = r.Replay(ctx, runner.Call{Module: m, Request: []byte("q")}, recording(was))
	if err != nil || res.Outcome != runner.NotStarted {
		t.Errorf("%v, %v", res.Outcome, err)
	}
}

// TestTranscriptIsBounded: a guest cannot make the host keep more than the
// transcript's bounds.
func TestTranscriptIsBounded(t *testing.T) {
	h := &Host{limits: &runner.Limits{MaxIOCalls: 1 << 20, Timeout: time.Minute}, ctx: t.Context()}
	h.meter = newMeter(h.limits, 1)
	big := append([]byte{5, 0x80, 0x80, 0x80, 4}, make([]byte, 8<<20)...)
	for i := range 8 {
		if got := h.ask("http", []byte{0}, len(big), func() []byte { return big }); (got != nil) != (i < 7) {
			t.Fatalf("call %d of %d bytes: %t", i, len(big), got != nil)
		}
	}
	if got := h.ask("now_us", []byte{0}, 16, func() []byte { return []byte{3, 1} }); got == nil {
		t.Error("a small call was refused for the objects' bound")
	}
	wide := make([]byte, 1<<20)
	n := 0
	for h.ask("http", wide, 16, func() []byte { return []byte{3, 1} }) != nil {
		n++
	}
	if x := h.record.transcript(); n != 63 || len(x) > abi.MaxTranscript {
		t.Errorf("%d calls of 1 MiB, %d bytes", n, len(x))
	}
}
