package fetch_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/sdk/go/tool"
	"github.com/mythos-run/mythos/tools/http-fetch/fetch"
	"github.com/mythos-run/mythos/tools/record"
)

func call(pairs ...tool.Pair) *tool.Call {
	return &tool.Call{Payload: tool.Map(pairs...), IdemID: [32]byte{0xab, 31: 0xcd}}
}

func header(name, value string) tool.Value {
	return tool.Map(record.Pair(1, tool.Text(name)), record.Pair(2, tool.Text(value)))
}

var key = abi.HTTPHeader{Name: "idempotency-key", Value: "ab" + strings.Repeat("00", 30) + "cd"}

func TestRequests(t *testing.T) {
	url := record.Pair(2, tool.Text("https://api.example/a?b=c"))
	five, million, none := uint64(5), uint64(1_000_000), uint8(0)
	for name, c := range map[string]struct {
		call *tool.Call
		want abi.HTTPRequest
	}{
		"the least": {call(url), abi.HTTPRequest{Method: "GET"}},
		"all fields": {
			call(
				record.Pair(1, tool.Text("PUT")), url, record.Pair(3, tool.List(header("Authorization", "Bearer {{secret:TOKEN}}"), header("x-a", ""))),
				record.Pair(4, tool.Text("text")), record.Pair(5, tool.Uint(0)), record.Pair(6, tool.Uint(million)), record.Pair(7, tool.Uint(five)),
			),
			abi.HTTPRequest{
				Method: "PUT", Headers: []abi.HTTPHeader{{Name: "authorization", Value: "Bearer {{secret:TOKEN}}"}, {Name: "x-a"}, key},
				Body: []byte("text"), Redirects: &none, TimeoutMicros: &million, MaxBody: &five,
			},
		},
		"a body of bytes": {call(record.Pair(1, tool.Text("POST")), url, record.Pair(4, tool.Bytes([]byte{0, 255}))), abi.HTTPRequest{Method: "POST", Headers: []abi.HTTPHeader{key}, Body: []byte{0, 255}}},
		"a key of one's own": {
			call(record.Pair(1, tool.Text("POST")), url, record.Pair(3, tool.List(header("Idempotency-Key", "mine")))),
			abi.HTTPRequest{Method: "POST", Headers: []abi.HTTPHeader{{Name: "idempotency-key", Value: "mine"}}},
		},
		"HEAD has no key": {call(record.Pair(1, tool.Text("HEAD")), url), abi.HTTPRequest{Method: "HEAD"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Url = "https://api.example/a?b=c"
			var got abi.HTTPRequest
			_, err := fetch.Answer(c.call, func(raw []byte) ([]byte, int) {
				var err error
				if got, err = abi.DecodeHTTPRequest(raw); err != nil {
					t.Error(err)
				}
				r := abi.HTTPResponse{Status: 204, Url: got.Url}
				return r.AppendCAN(nil), 1
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Headers) == 0 {
				got.Headers = nil
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	response := abi.HTTPResponse{
		Status: 404, Url: "https://b.example/", Body: []byte{1, 0},
		Headers: []abi.HTTPHeader{{Name: "set-cookie", Value: "a"}, {Name: "set-cookie", Value: "b"}},
	}
	got, err := fetch.Answer(call(record.Pair(2, tool.Text("https://a.example/"))), func([]byte) ([]byte, int) { return response.AppendCAN(nil), 1 })
	if err != nil {
		t.Fatal(err)
	}
	want := tool.Map(
		record.Pair(1, tool.Uint(404)), record.Pair(2, tool.List(header("set-cookie", "a"), header("set-cookie", "b"))),
		record.Pair(3, tool.Bytes([]byte{1, 0})), record.Pair(4, tool.Text("https://b.example/")),
	)
	if diff := cmp.Diff(want.Raw(), got.Raw()); diff != "" {
		t.Error(diff)
	}
}

func failure(err error) string {
	var f *tool.Failure
	if errors.As(err, &f) {
		return fmt.Sprint(f.Status, " ", f.Code)
	}
	return fmt.Sprint(err)
}

func TestWhatTheHostRefuses(t *testing.T) {
	fails := func(code string) []byte {
		r := abi.HTTPResponse{Url: "u", Error: &abi.Error{Code: code, Message: "why"}}
		return r.AppendCAN(nil)
	}
	for name, c := range map[string]struct {
		raw  []byte
		code int
		want string
	}{
		"denied":        {nil, -1, "403 grant_denied"},
		"bounds":        {nil, -2, "400 request_invalid"},
		"limit":         {nil, -3, "429 io_limit"},
		"not found":     {nil, -4, "the host gave no response"},
		"nothing":       {nil, 0, "the host gave no response"},
		"no response":   {[]byte{8, 0}, 2, "the host's response: "},
		"a host denied": {fails("grant_denied"), 1, "403 grant_denied"},
		"no target":     {fails("network_target"), 1, "400 network_target"},
		"too slow":      {fails("network_timeout"), 1, "504 network_timeout"},
		"no name":       {fails("network_dns"), 1, "502 network_dns"},
	} {
		_, err := fetch.Answer(call(record.Pair(2, tool.Text("https://a.example/"))), func([]byte) ([]byte, int) { return c.raw, c.code })
		if got := failure(err); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestWhatIsNeverSent(t *testing.T) {
	url := record.Pair(2, tool.Text("https://a.example/"))
	for name, c := range map[string]struct {
		call *tool.Call
		want string
	}{
		"no URL":             {call(), "400 bad_request"},
		"an unknown field":   {call(url, record.Pair(8, tool.Null())), "400 field_unknown"},
		"a method":           {call(record.Pair(1, tool.Text("get")), url), "400 request_invalid"},
		"a tunnel":           {call(record.Pair(1, tool.Text("CONNECT")), url), "400 request_invalid"},
		"a line end":         {call(url, record.Pair(3, tool.List(header("x-a", "b\r\nx-c: d")))), "400 request_invalid"},
		"the host's header":  {call(url, record.Pair(3, tool.List(header("Host", "b.example")))), "400 request_invalid"},
		"too many redirects": {call(url, record.Pair(5, tool.Uint(11))), "400 request_invalid"},
		"far too many":       {call(url, record.Pair(5, tool.Uint(1<<63))), "400 request_invalid"},
		"too large a bound":  {call(url, record.Pair(7, tool.Uint(1<<62))), "400 request_invalid"},
		"a header of bytes":  {call(url, record.Pair(3, tool.List(tool.Map(record.Pair(1, tool.Text("x-a")), record.Pair(2, tool.Bytes(nil)))))), "400 bad_request"},
		"a body of numbers":  {call(url, record.Pair(4, tool.Uint(1))), "400 bad_request"},
	} {
		_, err := fetch.Answer(c.call, func([]byte) ([]byte, int) {
			t.Errorf("%s was sent", name)
			return nil, -1
		})
		if got := failure(err); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}
