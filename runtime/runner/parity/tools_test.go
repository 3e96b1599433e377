//go:build !race

// Under the race detector the guests take minutes; scripts/parity.sh runs this
// without it.

package parity_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/wasm"
)

// request returns a ToolRequest whose payload is the value of a JSON view.
func request(t *testing.T, id, view string) []byte {
	t.Helper()
	payload, err := can.FromJSON([]byte(view))
	if err != nil {
		t.Fatal(err)
	}
	q := abi.Request{ToolID: cid.Sum([]byte("tool")), Payload: payload, IdemID: cid.Sum([]byte(id))}
	return q.AppendCAN(nil)
}

// show renders a ToolResponse: the status, then its payload or error.
func show(t *testing.T, raw []byte) string {
	t.Helper()
	r, err := abi.DecodeResponse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if r.Error != nil {
		return fmt.Sprint(r.Status, " ", r.Error.Code)
	}
	view, err := can.AppendJSON(nil, r.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(r.Status, " ", string(view))
}

func TestCSVQueryAsBuilt(t *testing.T) {
	ask := askWasm(t, build(t, t.TempDir(), "csv-query", "wasip1", "wasm"))
	rows := strings.Repeat("north,1.10\nsouth,2.25\n", 500)
	for view, want := range map[string]string{
		`{"$map":[[1,"region,price\n` + strings.ReplaceAll(rows, "\n", `\n`) + `"],[6,["region"]],[7,[{"$map":[[1,"sum"],[2,"price"]]}]]]}`: `200 {"$map":[[1,["region","sum(price)"]],[2,[["north","550.00"],["south","1125.00"]]],[3,1000]]}`,
		`{"$map":[[1,"a,b\n1,2\n3\n"]]}`: "422 csv_ragged",
		`[]`:                             "400 bad_request",
	} {
		got, err := ask(request(t, "a", view))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, show(t, got)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestKVAsBuilt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("kv is for Unixes")
	}
	folder := t.TempDir()
	ask := askProcess(t, []string{build(t, t.TempDir(), "kv", "", ""), folder})
	for _, step := range []struct{ id, view, want string }{
		{"a", `{"$map":[[1,"put"],[2,"k"],[3,[1,2]]]}`, `200 {"$map":[[1,false]]}`},
		{"b", `{"$map":[[1,"put"],[2,"k"],[3,"new"]]}`, `200 {"$map":[[1,true]]}`},
		{"a", `{"$map":[[1,"put"],[2,"k"],[3,[1,2]]]}`, `200 {"$map":[[1,false]]}`},
		{"c", `{"$map":[[1,"get"],[2,"k"]]}`, `200 {"$map":[[1,true],[2,"new"]]}`},
		{"d", `{"$map":[[1,"get"],[2,"k"],[8,"/etc"]]}`, `400 request_invalid`},
	} {
		got, err := ask(request(t, step.id, step.view))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, show(t, got)); diff != "" {
			t.Error(diff)
		}
	}
}

// The module reaches the server that is allowed and no other, and a secret the
// server but not the module.
func TestHTTPFetchAsBuilt(t *testing.T) {
	const token = "hunter2-hunter2"
	var mu sync.Mutex
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, strings.Join([]string{r.Method, r.URL.String(), r.Header.Get("Authorization"), r.Header.Get("Idempotency-Key"), string(body)}, " "))
		w.Header()["Date"] = nil
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "short")
	}))
	defer server.Close()
	code, err := os.ReadFile(build(t, t.TempDir(), "http-fetch", "wasip1", "wasm"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := wasm.New(wasm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	m := moduleOf(code)
	m.Caps = []uint8{runner.CapNetConnect}
	grants := runner.Grants{
		Net: &runner.Net{HTTPOnly: true, Allow: func(c runner.Connect) error {
			if c.Method == "DELETE" {
				return fault.New(runner.ErrDenied, "not DELETE")
			}
			return nil
		}},
		Secrets: []runner.Secret{{Name: "TOKEN", Value: func() ([]byte, error) { return []byte(token), nil }}},
	}
	id := cid.Sum([]byte("a"))
	for _, step := range []struct{ view, want, seen string }{
		{
			`{"$map":[[2,"` + server.URL + `/x"],[3,[{"$map":[[1,"Authorization"],[2,"Bearer {{secret:TOKEN}}"]]}]]]}`,
			`200 {"$map":[[1,418],[2,[{"$map":[[1,"content-length"],[2,"5"]]},{"$map":[[1,"content-type"],[2,"text/plain; charset=utf-8"]]}]],[3,{"$bytes":"73686f7274"}],[4,"` + server.URL + `/x"]]}`,
			"GET /x Bearer " + token + "  ",
		},
		{`{"$map":[[1,"POST"],[2,"` + server.URL + `/y"],[4,"in"],[7,4]]}`, "502 network_too_large", "POST /y  " + fmt.Sprintf("%x", id[:]) + " in"},
		{`{"$map":[[1,"DELETE"],[2,"` + server.URL + `/z"]]}`, "403 grant_denied", ""},
		{`{"$map":[[2,"` + server.URL + `/z"],[3,[{"$map":[[1,"a"],[2,"{{secret:OTHER}}"]]}]]]}`, "403 grant_denied", ""},
		{`{"$map":[[2,"ftp://a.example/"]]}`, "400 request_invalid", ""},
	} {
		mu.Lock()
		seen = nil
		mu.Unlock()
		raw := request(t, "a", step.view)
		got, err := r.Run(t.Context(), runner.Call{Module: m, Request: raw, RequestHash: cid.Sum(raw), Grants: grants})
		if err != nil || got.Outcome != runner.Answered {
			t.Fatalf("%s: %v %v %s\n%s", step.view, err, got.Outcome, got.Detail, got.Log)
		}
		if diff := cmp.Diff(step.want, show(t, got.Response)); diff != "" {
			t.Errorf("%s: %s", step.view, diff)
		}
		mu.Lock()
		reached := strings.Join(seen, "\n")
		mu.Unlock()
		if diff := cmp.Diff(step.seen, reached); diff != "" {
			t.Errorf("%s: %s", step.view, diff)
		}
		if bytes.Contains(got.Transcript, []byte(token)) || bytes.Contains(got.Log, []byte(token)) {
			t.Errorf("%s: the secret is in the transcript or the log", step.view)
		}
	}
}
