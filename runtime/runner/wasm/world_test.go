package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/runner"
	"github.com/mythos-run/mythos/runtime/runner/network"
)

// The granted hostcalls as the guests of these tests import them, behind the
// others.
const (
	fnNow = fnNext + iota
	fnSecure
	fnBlob
	fnHTTP
	fnHTTPRead
)

const opI64Store = 0x37

func grantedImports() []fn {
	return []fn{
		{module: mythosModule, name: "now_us", results: vI64},
		{module: mythosModule, name: "random", params: vI32 + vI32, results: vI32},
		{module: mythosModule, name: "blob_get", params: vI32 + vI64 + vI32 + vI32, results: vI32},
		{module: mythosModule, name: "http", params: vI32 + vI32, results: vI32},
		{module: mythosModule, name: "http_read", params: vI32 + vI32 + vI32, results: vI32},
	}
}

// worldly is a guest of these pieces with every granted hostcall, bound to all
// capabilities and 100 calls.
func worldly(data string, code ...[]byte) runner.Module {
	a := hostcallCode()
	g := a.with(bytes.Join(code, nil), data)
	g.imports = append(g.imports, grantedImports()...)
	g.memory = []byte{0, 40}
	m := bind(g.bytes(), a.abi)
	m.Caps = grantable()
	m.Limits.MemoryBytes = 64 << 16
	m.Limits.MaxIOCalls = 100
	m.Limits.MaxResponse = 1 << 20
	return m
}

// blobCall is blob_get with constants; the digest is at dataAt.
func blobCall(off, dst, n int32) []byte {
	return join(c32(dataAt), c64(off), c32(dst), c32(n), opCall, fnBlob)
}

// answerOf answers n bytes at an address.
func answerOf(at, n int32) []byte { return hostcallCode().answer(at, n) }

// call runs a module with grants.
func call(t testing.TB, r *Runner, m runner.Module, g runner.Grants) runner.Result {
	t.Helper()
	res, err := r.Run(t.Context(), runner.Call{Module: m, Request: []byte("q"), Grants: g})
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return res
}

// answered is the response of a call that must have one, as words.
func answered(t testing.TB, res runner.Result) []int32 {
	t.Helper()
	if res.Outcome != runner.Answered {
		t.Fatalf("%v: %s", res.Outcome, res.Detail)
	}
	var out []int32
	for b := res.Response; len(b) >= 4; b = b[4:] {
		out = append(out, int32(uint32(b[0])|uint32(b[1])<<8|uint32(b[2])<<16|uint32(b[3])<<24))
	}
	return out
}

// made lists the calls of a transcript by name.
func made(t testing.TB, res runner.Result) []string {
	t.Helper()
	if res.Transcript == nil {
		return nil
	}
	x, err := abi.DecodeTranscript(res.Transcript)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range x.Calls {
		out = append(out, c.Fn)
	}
	return out
}

// again replays a call in a runner that reaches nothing, and wants the same.
func again(t testing.TB, m runner.Module, was runner.Result) {
	t.Helper()
	r := open(t, Options{
		Now:     func() time.Time { return time.Unix(1, 0) },
		Random:  iotest.ErrReader(errors.New("there is no randomness")),
		Network: network.Options{Resolver: unused{t}},
	})
	hash := cid.Sum(was.Response)
	rec := recording(was)
	rec.ResponseHash = &hash
	res, err := r.Replay(t.Context(), runner.Call{Module: m, Request: []byte("q")}, rec)
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	if !bytes.Equal(res.Response, was.Response) || !bytes.Equal(res.Transcript, was.Transcript) ||
		!bytes.Equal(res.Log, was.Log) || *res.FuelUsed != *was.FuelUsed || len(res.Objects) != len(was.Objects) {
		t.Errorf("replayed %v %q, was %v %q", res.Outcome, res.Response, was.Outcome, was.Response)
	}
}

// unused is a resolver that must not be asked.
type unused struct{ t testing.TB }

func (u unused) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	u.t.Errorf("a replay resolved %s", host)
	return nil, errors.New("unused")
}

// recording is what a call left behind.
func recording(was runner.Result) runner.Recording {
	return runner.Recording{
		Transcript: was.Transcript,
		Object: func(_ context.Context, id cid.Hash, _ uint64) ([]byte, error) {
			for _, o := range was.Objects {
				if cid.Sum(o) == id {
					return o, nil
				}
			}
			return nil, fmt.Errorf("no object %s", id)
		},
	}
}

// all grants everything there is.
func all() runner.Grants {
	return runner.Grants{
		Clock: true, Random: true, Net: &runner.Net{Allow: func(runner.Connect) error { return nil }},
		Blob: func(_ context.Context, id cid.Hash, off uint64, dst []byte) (int, error) {
			return bytes.NewReader([]byte("0123456789")).ReadAt(dst, int64(off))
		},
	}
}

// TestImportNeedsCap: a hostcall is importable exactly under its capability.
func TestImportNeedsCap(t *testing.T) {
	r := open(t, Options{})
	for _, f := range grantedImports() {
		kind := map[string]uint8{
			"now_us": runner.CapClock, "random": runner.CapRandom, "blob_get": runner.CapBlobRead,
			"http": runner.CapNetConnect, "http_read": runner.CapNetConnect,
		}[f.name]
		for _, caps := range [][]uint8{nil, {kind}, grantable(), slices.DeleteFunc(grantable(), func(k uint8) bool { return k == kind })} {
			want := fault.Code("")
			if !slices.Contains(caps, kind) {
				want = ErrImportUngranted
			}
			m := bind(importing(f.module, f.name, f.params, f.results), runner.ABIHostcall)
			m.Caps = caps
			for name, err := range map[string]error{"Runner.Check": r.Check(t.Context(), m), "Check": Check(t.Context(), m)} {
				if fault.CodeOf(err) != want {
					t.Errorf("%s of %s with %v: %v, want %q", name, f.name, caps, err, want)
				}
			}
			if _, err := r.Run(t.Context(), runner.Call{Module: m, Grants: all()}); fault.CodeOf(err) != want {
				t.Errorf("Run of %s with %v: %v, want %q", f.name, caps, err, want)
			}
			m.ABI = runner.ABIStdio
			if want == "" {
				want = ErrImportUnknown
			}
			if err := r.Check(t.Context(), m); fault.CodeOf(err) != want {
				t.Errorf("%s with the stdio abi: %v, want %s", f.name, err, want)
			}
		}
		wrong := bind(importing(f.module, f.name, f.params+vI32, f.results), runner.ABIHostcall)
		wrong.Caps = []uint8{kind}
		if err := r.Check(t.Context(), wrong); fault.CodeOf(err) != ErrImportUnknown {
			t.Errorf("%s of another type: %v", f.name, err)
		}
	}
}

// TestGrantsRefused: what a wasm module cannot be given is no surprise at run
// time.
func TestGrantsRefused(t *testing.T) {
	r := open(t, Options{})
	m := worldly("")
	for _, g := range []runner.Grants{{Read: []string{"/a"}}, {Write: []runner.FsWrite{{Path: "/a"}}}} {
		if _, err := r.Run(t.Context(), runner.Call{Module: m, Grants: g}); fault.CodeOf(err) != runner.ErrGrant {
			t.Errorf("%+v: %v", g, err)
		}
	}
	for _, kind := range []uint8{0, 2, 5, runner.CapFsRead, runner.CapFsWrite, 38} {
		m.Caps = []uint8{kind}
		if err := r.Check(t.Context(), m); fault.CodeOf(err) != runner.ErrGrant {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
}

// TestWorld: what each granted hostcall gives, that it is recorded, and that the
// record gives the same again.
func TestWorld(t *testing.T) {
	now := time.UnixMicro(1_700_000_000_123_456)
	request := (&abi.HTTPRequest{Method: "GET", Url: "ftp://a.example/"}).AppendCAN(nil)
	digest := string(cid.Sum([]byte("blob")).Hex())[:32]
	r := open(t, Options{Now: func() time.Time { return now }, Random: strings.NewReader(strings.Repeat("random bytes ", 1<<16))})
	for name, c := range map[string]struct {
		data  string
		code  []byte
		want  string
		calls []string
	}{
		"now_us":               {"", join(c32(outAt), callFn(fnNow), opI64Store, 3, 0, answerOf(outAt, 8)), "@\" \x18$\n\x06\x00", []string{"now_us"}},
		"random":               {"", join(result(0, callFn(fnSecure, 4096, 12)), answerOf(outAt, 4), answerOf(4096, 13)), "\x0c\x00\x00\x00random bytes\x00", []string{"random"}},
		"random of nothing":    {"", join(result(0, callFn(fnSecure, 4096, 0)), answerOf(outAt, 4)), "\x00\x00\x00\x00", nil},
		"too much random":      {"", join(result(0, callFn(fnSecure, 4096, maxRandom+1)), answerOf(outAt, 4)), "\xfd\xff\xff\xff", nil},
		"blob_get":             {digest, join(result(0, blobCall(2, 4096, 5)), answerOf(outAt, 4), answerOf(4096, 5)), "\x05\x00\x00\x0023456", []string{"blob_get"}},
		"blob_get, short":      {digest, join(result(0, blobCall(8, 4096, 5)), answerOf(outAt, 4), answerOf(4096, 5)), "\x02\x00\x00\x0089\x00\x00\x00", []string{"blob_get"}},
		"blob_get, at the end": {digest, join(result(0, blobCall(10, 4096, 5)), answerOf(outAt, 4)), "\x00\x00\x00\x00", []string{"blob_get"}},
		"blob_get, nothing":    {digest, join(result(0, blobCall(1<<30, 4096, 0)), answerOf(outAt, 4)), "\x00\x00\x00\x00", nil},
		"blob_get, before":     {digest, join(result(0, blobCall(-1, 4096, 5)), answerOf(outAt, 4)), "\xfe\xff\xff\xff", nil},
		"http, no request":     {"", join(result(0, callFn(fnHTTP, dataAt, 0)), answerOf(outAt, 4)), "\xfe\xff\xff\xff", nil},
		"http, another scheme": {string(request), join(result(0, callFn(fnHTTP, dataAt, int32(len(request)))), answerOf(outAt, 4)), "\xfe\xff\xff\xff", nil},
		"http, too much":       {"", join(result(0, callFn(fnHTTP, 0, abi.MaxHTTPRequest+1)), answerOf(outAt, 4)), "\xfd\xff\xff\xff", nil},
		"http_read, nothing":   {"", join(result(0, callFn(fnHTTPRead, 4096, 0, 5)), answerOf(outAt, 4)), "\xfc\xff\xff\xff", nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := all()
			g.Blob = func(_ context.Context, _ cid.Hash, off uint64, dst []byte) (int, error) {
				text := "0123456789"
				return copy(dst, text[min(off, 10):]), nil
			}
			m := worldly(c.data, c.code)
			res := call(t, r, m, g)
			if string(res.Response) != c.want || !slices.Equal(made(t, res), c.calls) {
				t.Fatalf("%v %q (%s) by %q, want %q by %q", res.Outcome, res.Response, res.Detail, made(t, res), c.want, c.calls)
			}
			again(t, m, res)
		})
	}
}

// TestUngiven: a capability that is asked for and not granted is denied at run
// time, and the guest lives.
func TestUngiven(t *testing.T) {
	request := (&abi.HTTPRequest{Method: "GET", Url: "http://a.example/"}).AppendCAN(nil)
	m := worldly(string(request),
		c32(outAt), callFn(fnNow), []byte{opI64Store, 3, 0},
		result(2, callFn(fnSecure, 4096, 4)), result(3, blobCall(0, 4096, 4)), result(4, callFn(fnHTTP, dataAt, int32(len(request)))),
		result(5, callFn(fnHTTPRead, 4096, 0, 4)), answerOf(outAt, 24))
	res := call(t, open(t, Options{}), m, runner.Grants{})
	if got, want := answered(t, res), []int32{-1, -1, -1, -1, -1, -4}; !slices.Equal(got, want) {
		t.Errorf("got %d, want %d", got, want)
	}
	if got := made(t, res); len(got) != 4 {
		t.Errorf("recorded %q", got)
	}
	again(t, m, res)
}

// TestWorldTraps: memory out of range traps in every granted hostcall, before
// anything is done.
func TestWorldTraps(t *testing.T) {
	end := int32(40 * pageSize)
	r := open(t, Options{})
	for name, code := range map[string][]byte{
		"random":           callFn(fnSecure, end-3, 4),
		"random of none":   callFn(fnSecure, end+1, 0),
		"blob_get cid":     join(c32(end-31), c64(0), c32(0), c32(1), opCall, fnBlob),
		"blob_get dst":     blobCall(0, end-3, 4),
		"blob_get wraps":   blobCall(0, -1, -1),
		"http":             callFn(fnHTTP, end-3, 4),
		"http wraps":       callFn(fnHTTP, -1, -1),
		"http_read":        callFn(fnHTTPRead, end-3, 0, 4),
		"http_read, large": callFn(fnHTTPRead, 0, 0, -1),
	} {
		res := call(t, r, worldly("", code, []byte{opDrop}), all())
		if res.Outcome != runner.Trapped || res.Transcript != nil {
			t.Errorf("%s: %v (%s), transcript %x", name, res.Outcome, res.Detail, res.Transcript)
		}
	}
}

// TestTrapAfterWorld: whoever judges a trap can tell that the world was touched.
func TestTrapAfterWorld(t *testing.T) {
	res := call(t, open(t, Options{}), worldly("", callFn(fnNow), []byte{opDrop, opUnreachable}), all())
	if res.Outcome != runner.Trapped || !slices.Equal(made(t, res), []string{"now_us"}) {
		t.Errorf("%v, %q", res.Outcome, made(t, res))
	}
}

// TestMaxIOCalls: calls count, those that never get to the world do not.
func TestMaxIOCalls(t *testing.T) {
	m := worldly("",
		result(0, callFn(fnSecure, 4096, 0)), result(1, callFn(fnSecure, 4096, 1)), result(2, callFn(fnSecure, 4096, 1)),
		result(3, callFn(fnSecure, 4096, 1)), c32(outAt+16), callFn(fnNow), []byte{opI64Store, 3, 0}, answerOf(outAt, 24))
	for limit, want := range [][]int32{{0, -3, -3, -3, -3, -1}, {0, 1, -3, -3, -3, -1}, {0, 1, 1, -3, -3, -1}} {
		m.Limits.MaxIOCalls = uint32(limit)
		res := call(t, open(t, Options{}), m, all())
		if got := answered(t, res); !slices.Equal(got, want) || len(made(t, res)) != limit {
			t.Errorf("limit %d: %d by %q, want %d", limit, got, made(t, res), want)
		}
		again(t, m, res)
	}
}

// TestWorldFuel: a granted hostcall traps first when the fuel is below zero.
func TestWorldFuel(t *testing.T) {
	m := worldly("", callFn(fnNow), []byte{opDrop}, answerOf(outAt, 1))
	res := call(t, open(t, Options{}), m, all())
	if res.Outcome != runner.Answered {
		t.Fatalf("%v: %s", res.Outcome, res.Detail)
	}
	for limit := range *res.FuelUsed {
		m.Limits.Fuel = &limit
		if short := call(t, open(t, Options{}), m, all()); short.Outcome != runner.FuelExhausted {
			t.Fatalf("with %d of %d: %v", limit, *res.FuelUsed, short.Outcome)
		}
	}
	one := uint64(1)
	m.Limits.Fuel = &one
	if short := call(t, open(t, Options{}), m, all()); short.Transcript != nil {
		t.Error("a guest without fuel touched the world")
	}
}

// TestBlobErrors: what a blob reader says.
func TestBlobErrors(t *testing.T) {
	m := worldly(strings.Repeat("d", 32), result(0, blobCall(0, 4096, 4)), answerOf(outAt, 4))
	for name, c := range map[string]struct {
		n       int
		err     error
		outcome runner.Outcome
		want    int32
	}{
		"denied":   {0, fault.New(runner.ErrDenied, "not this one"), runner.Answered, -1},
		"absent":   {0, fmt.Errorf("store: %w", fault.New(runner.ErrAbsent, "nothing")), runner.Answered, -4},
		"disk":     {0, errors.New("the disk burns"), runner.Killed, 0},
		"negative": {-1, nil, runner.Killed, 0},
		"too much": {5, nil, runner.Killed, 0},
	} {
		g := runner.Grants{Blob: func(context.Context, cid.Hash, uint64, []byte) (int, error) { return c.n, c.err }}
		res := call(t, open(t, Options{}), m, g)
		if res.Outcome != c.outcome || c.outcome == runner.Answered && answered(t, res)[0] != c.want {
			t.Errorf("%s: %v %x (%s)", name, res.Outcome, res.Response, res.Detail)
		}
		if !slices.Equal(made(t, res), []string{"blob_get"}) {
			t.Errorf("%s: recorded %q", name, made(t, res))
		}
	}
}

// TestRandomFails: a host without randomness answers nothing.
func TestRandomFails(t *testing.T) {
	m := worldly("", callFn(fnSecure, 4096, 4), []byte{opDrop}, answerOf(outAt, 4))
	r := open(t, Options{Random: iotest.ErrReader(errors.New("dry"))})
	if res := call(t, r, m, all()); res.Outcome != runner.Killed {
		t.Errorf("%v (%s)", res.Outcome, res.Detail)
	}
}

// TestInitialiseInTheWorld: a reactor that looks at the world while it is
// initialised does so in each call, and is not kept.
func TestInitialiseInTheWorld(t *testing.T) {
	a := hostcallCode()
	g := guest{
		imports: append(slices.Clone(a.imports), grantedImports()...), memory: []byte{0, 2},
		bodies: []fn{
			{name: initEntry, code: join(c32(outAt), callFn(fnNow), opI64Store, 3, 0)},
			{name: "run", code: a.answer(outAt, 8)},
		},
	}
	m := bind(g.bytes(), a.abi)
	m.Caps, m.Entry, m.Limits.MaxIOCalls = grantable(), []string{"run"}, 1
	micros := int64(0)
	r := open(t, Options{Now: func() time.Time { micros++; return time.UnixMicro(micros) }})
	first, second := call(t, r, m, all()), call(t, r, m, all())
	if first.Response == nil || bytes.Equal(first.Response, second.Response) || len(made(t, second)) != 1 {
		t.Errorf("%x, then %x by %q", first.Response, second.Response, made(t, second))
	}
	again(t, m, first)
}

// httpGuest performs the request and answers the whole response, or the error
// number in 4 bytes.
func httpGuest(raw []byte) runner.Module {
	return worldly(string(raw), callFn(fnHTTP, dataAt, int32(len(raw))), []byte{opLocalSet, 0},
		[]byte{opLocalGet, 0}, c32(0), []byte{0x48, opIf, 0x40}, // i32.lt_s
		c32(outAt<<4), []byte{opLocalGet, 0, opI32Store, 2, 0}, answerOf(outAt<<4, 4), []byte{0x0f, opEnd}, // return
		c32(reqAt), c32(0), []byte{opLocalGet, 0, opCall, fnHTTPRead, opDrop},
		c32(reqAt), []byte{opLocalGet, 0, opCall, fnWrite, opDrop})
}

func httpAnswer(t testing.TB, res runner.Result) abi.HTTPResponse {
	t.Helper()
	var x abi.HTTPResponse
	r := can.NewReader(res.Response)
	x.ReadCAN(&r)
	if err := r.Done(); err != nil {
		t.Fatalf("%v (%s), response % x: %v", res.Outcome, res.Detail, res.Response, err)
	}
	return x
}

func TestHTTP(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Key", r.Header.Get("X-Key"))
		w.WriteHeader(201)
		fmt.Fprintf(w, "%s %s ", r.Method, body)
		_, _ = w.Write(make([]byte, len(body)*50_000))
	}))
	t.Cleanup(s.Close)
	small, zero := uint64(1000), uint64(0)
	deny := runner.Net{Allow: func(runner.Connect) error { return fault.New(runner.ErrDenied, "not there") }}
	for name, c := range map[string]struct {
		request abi.HTTPRequest
		net     *runner.Net
		status  uint16
		size    int
		code    fault.Code
		objects int
	}{
		"plain":        {abi.HTTPRequest{Method: "GET", Url: s.URL, Headers: []abi.HTTPHeader{{Name: "x-key", Value: "v"}}}, all().Net, 201, 5, "", 0},
		"large":        {abi.HTTPRequest{Method: "POST", Url: s.URL, Body: []byte("ab")}, all().Net, 201, 100_008, "", 1},
		"bounded":      {abi.HTTPRequest{Method: "POST", Url: s.URL, Body: []byte("ab"), MaxBody: &small}, all().Net, 0, 0, network.ErrTooLarge, 0},
		"bounded to 0": {abi.HTTPRequest{Method: "GET", Url: s.URL, MaxBody: &zero}, all().Net, 0, 0, network.ErrTooLarge, 0},
		"denied":       {abi.HTTPRequest{Method: "GET", Url: s.URL}, &deny, 0, 0, runner.ErrDenied, 0},
		"no name":      {abi.HTTPRequest{Method: "GET", Url: "http://nowhere.example/"}, all().Net, 0, 0, network.ErrDNS, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := httpGuest(c.request.AppendCAN(nil))
			r := open(t, Options{Network: network.Options{Resolver: nowhere{}}})
			res := call(t, r, m, runner.Grants{Net: c.net})
			x := httpAnswer(t, res)
			code := fault.Code("")
			if x.Error != nil {
				code = fault.Code(x.Error.Code)
			}
			if x.Status != c.status || len(x.Body) != c.size || code != c.code || len(res.Objects) != c.objects {
				t.Errorf("status %d, %d bytes, %+v, %d objects", x.Status, len(x.Body), x.Error, len(res.Objects))
			}
			again(t, m, res)
		})
	}
}

// nowhere knows no name.
type nowhere struct{}

func (nowhere) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errors.New("no such name")
}
