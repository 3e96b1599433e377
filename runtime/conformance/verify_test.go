package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func made(t *testing.T) *Pack {
	t.Helper()
	p, err := read(mapFS(smallPack()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSelect(t *testing.T) {
	p := made(t)
	for name, c := range map[string]struct {
		o    Options
		want int
	}{
		"all":     {Options{Level: 2}, 2},
		"level 0": {Options{}, 1},
		"suite":   {Options{Level: 2, Suites: []string{"can"}}, 2},
		"filter":  {Options{Level: 2, Filter: regexp.MustCompile("b-")}, 1},
	} {
		if got, err := p.Select(c.o); err != nil || len(got) != c.want {
			t.Errorf("%s: %d, %v", name, len(got), err)
		}
	}
	for name, o := range map[string]Options{
		"no suite":  {Suites: []string{"caps"}},
		"no vector": {Filter: regexp.MustCompile("nothing")},
	} {
		if _, err := p.Verify(t.Context(), o); !errors.Is(err, ErrVector) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := p.Case("can-z-001"); !errors.Is(err, ErrVector) {
		t.Error(err)
	}
	if c, err := p.Case("can-b-001"); err != nil || c.ID != "can-b-001" {
		t.Error(c, err)
	}
}

func TestJudge(t *testing.T) {
	three, five := 3, 5
	invalid := Case{Entry: Entry{Result: Invalid}, Expect: Expect{Error: "can_tag", Offset: &three}}
	anywhere := Case{Entry: Entry{Result: Invalid}, Expect: Expect{Error: "can_tag"}}
	valid := Case{Entry: Entry{Result: Valid}, Expect: Expect{Output: json.RawMessage(`{"a":{"x":[1,null]},"b":"c"}`)}}
	either := Case{Entry: Entry{Result: Acceptable}, Expect: Expect{Output: json.RawMessage(`{"b":"c"}`), Error: "can_tag"}}
	ok := func(output string) Answer { return Answer{OK: true, Output: json.RawMessage(output)} }
	for name, c := range map[string]struct {
		c    Case
		a    Answer
		want string // "": it passes
	}{
		"refused":               {invalid, Answer{Error: "can_tag", Offset: &three}, ""},
		"refused elsewhere":     {invalid, Answer{Error: "can_tag", Offset: &five}, "at byte 5, want it at byte 3"},
		"refused nowhere":       {invalid, Answer{Error: "can_tag"}, "want it at byte 3"},
		"offset not asked":      {anywhere, Answer{Error: "can_tag", Offset: &five}, ""},
		"another code":          {invalid, Answer{Error: "can_type", Offset: &three}, "want can_tag"},
		"no code":               {invalid, Answer{}, "no code"},
		"accepted":              {invalid, ok(`{}`), "accepted, must be refused"},
		"ok and an error":       {anywhere, Answer{OK: true, Error: "can_tag"}, "is ok and has"},
		"equal":                 {valid, ok(`{"b":"c","a":{"x":[1,null]},"more":1}`), ""},
		"another value":         {valid, ok(`{"a":{"x":[2,null]},"b":"c"}`), "output a is"},
		"another form":          {valid, ok(`{"a":{"x":["1",null]},"b":"c"}`), "output a is"},
		"more inside":           {valid, ok(`{"a":{"x":[1,null],"y":1},"b":"c"}`), "output a is"},
		"1.0 is not 1":          {valid, ok(`{"a":{"x":[1.0,null]},"b":"c"}`), "output a is"},
		"a member less":         {valid, ok(`{"a":{"x":[1,null]}}`), `no member "b"`},
		"no output":             {valid, ok(``), "no member"},
		"a list":                {valid, ok(`[]`), "not a JSON object"},
		"not JSON":              {valid, ok(`{`), "unexpected EOF"},
		"refused valid":         {valid, Answer{Error: "can_tag"}, "must be accepted"},
		"either accepted":       {either, ok(`{"b":"c"}`), ""},
		"either refused":        {either, Answer{Error: "can_tag"}, ""},
		"either, another code":  {either, Answer{Error: "can_type"}, "want can_tag"},
		"either, another value": {either, ok(`{"b":"d"}`), "output b"},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.c.Judge(c.a)
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// peerMode is set in the environment of this test's own binary when it plays an
// external implementation.
const peerMode = "MYTHOS_TEST_CTVP_PEER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(peerMode); mode != "" {
		os.Exit(playPeer(mode))
	}
	os.Exit(m.Run())
}

// playPeer answers like this build, but for what the mode spoils.
func playPeer(mode string) int {
	impl, err := Local(context.Background())
	if err != nil {
		return 1
	}
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return 0
		}
		var r Request
		if err := json.Unmarshal(line, &r); err != nil {
			return 1
		}
		if r.Op == "hello" {
			hello(impl, mode)
			continue
		}
		if !spoil(mode, r) {
			return 7
		}
		a, err := impl.Do(context.Background(), r)
		if err != nil {
			return 1
		}
		say(a)
	}
}

func hello(impl Impl, mode string) {
	info, _ := impl.Hello(context.Background()) // Local's has no error
	info.Name = "peer"
	switch mode {
	case "mute":
		hang()
	case "rude":
		say(Answer{ID: "hello", Error: "no"})
		return
	case "nameless":
		info.Name = ""
	case "partial":
		info.Ops = []string{"can.decode"}
	}
	out, _ := json.Marshal(info) // strings
	say(Answer{ID: "hello", OK: true, Output: out})
}

// spoil does what the mode says to the answer of can-a-001; false ends the
// program.
func spoil(mode string, r Request) bool {
	if r.ID != "can-a-001" {
		return true
	}
	switch mode {
	case "dies":
		fmt.Fprintln(os.Stderr, "I am dying")
		return false
	case "half":
		fmt.Print(`{"id":"can`)
		return false
	case "babbles":
		fmt.Println("hello there")
	case "long":
		fmt.Println(strings.Repeat("x", MaxAnswer+1))
	case "hangs":
		hang()
	case "other":
		say(Answer{ID: "can-b-001", OK: true})
	case "unsupported":
		say(Answer{ID: r.ID, Unsupported: true})
	}
	return true
}

// hang waits for the end of the input, and answers nothing.
func hang() {
	fmt.Fprintln(os.Stderr, "hanging")
	_, _ = io.Copy(io.Discard, os.Stdin) // it is killed here
}

func say(a Answer) {
	b, _ := json.Marshal(a) // plain members
	os.Stdout.Write(append(b, '\n'))
}

func peerStart(t *testing.T, mode string, stderr io.Writer) Start {
	t.Helper()
	t.Setenv(peerMode, mode)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bell := &bell{out: stderr}
	return Command{Args: []string{exe}, Stderr: bell, Limit: time.Hour, alarm: bell.set}.Start()
}

// bell is the alarm of a process: it rings when the process says on standard
// error that it hangs.
type bell struct {
	out  io.Writer // may be nil
	mu   sync.Mutex
	ring func()
}

func (b *bell) set(_ time.Duration, f func()) stopper {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ring = f
	return b
}

func (b *bell) Stop() bool { return true }

func (b *bell) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bytes.Contains(text, []byte("hanging")) {
		go b.ring()
	}
	if b.out == nil {
		return len(text), nil
	}
	return b.out.Write(text)
}

// TestPeers runs an external implementation that is right, and ones that fail in
// one way each: that vector fails with the reason, and the others do not.
func TestPeers(t *testing.T) {
	for mode, want := range map[string]string{
		"right":   "",
		"dies":    "ended without an answer: exit status 7",
		"half":    "ended inside a line",
		"babbles": "which is no answer",
		"long":    "more than 1048576 bytes",
		"hangs":   "no answer within 1h0m0s",
		"other":   `the answer is to "can-b-001"`,
	} {
		t.Run(mode, func(t *testing.T) {
			var stderr bytes.Buffer
			r, err := made(t).Verify(t.Context(), Options{Level: 2, Start: peerStart(t, mode, &stderr), Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			if r.Impl.Name != "peer" || !r.Results[1].OK() {
				t.Errorf("%+v", r)
			}
			if got := r.Results[0].Failure(); r.Results[0].OK() != (want == "") || !strings.Contains(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if mode == "dies" && stderr.String() != "I am dying\n" {
				t.Errorf("standard error is %q", stderr.String())
			}
		})
	}
}

func TestPeersInPart(t *testing.T) {
	r, err := made(t).Verify(t.Context(), Options{Level: 2, Start: peerStart(t, "partial", nil)})
	if err != nil || !r.OK() || !r.Results[0].OK() || !r.Results[1].Absent || r.Results[1].OK() {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = made(t).Verify(t.Context(), Options{Start: peerStart(t, "unsupported", nil)})
	if err != nil || r.OK() || !r.Results[0].Absent {
		t.Errorf("nothing implemented counts as passed: %+v, %v", r, err)
	}
	for _, mode := range []string{"mute", "rude", "nameless"} {
		if _, err := made(t).Verify(t.Context(), Options{Start: peerStart(t, mode, nil)}); !errors.Is(err, ErrImpl) {
			t.Errorf("%s: %v", mode, err)
		}
	}
	nowhere := Command{Args: []string{"./no-such-program"}}.Start()
	if _, err := made(t).Verify(t.Context(), Options{Start: nowhere}); !errors.Is(err, ErrImpl) {
		t.Error(err)
	}
	if _, err := made(t).Verify(t.Context(), Options{Start: Command{}.Start()}); !errors.Is(err, ErrImpl) {
		t.Error(err)
	}
}

// breaking is an implementation that breaks on every request.
type breaking struct{ Impl }

func (breaking) Do(context.Context, Request) (Answer, error) {
	return Answer{}, &Broken{errors.New("it broke")}
}

// TestRestarts: an implementation that breaks each time is started again, but not
// for ever.
func TestRestarts(t *testing.T) {
	p, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	starts := 0
	start := func(ctx context.Context) (Impl, error) {
		starts++
		impl, err := Local(ctx)
		return breaking{impl}, err
	}
	r, err := p.Verify(t.Context(), Options{Suites: []string{"codebook"}, Start: start, Workers: 1})
	if err != nil || r.OK() || starts != maxRestarts+1 {
		t.Errorf("%d starts, OK %t, %v", starts, r.OK(), err)
	}
	last := r.Results[len(r.Results)-1]
	if r.Results[0].Failure() != "answer: it broke" || !strings.Contains(last.Failure(), "not asked") {
		t.Errorf("%q, %q", r.Results[0].Failure(), last.Failure())
	}
}

func TestProgressAndCancel(t *testing.T) {
	var seen []int
	_, err := made(t).Verify(t.Context(), Options{Level: 2, Progress: func(done, total int) { seen = append(seen, 10*done+total) }})
	if err != nil || !slices.Equal(seen, []int{12, 22}) {
		t.Errorf("%v, %v", seen, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := made(t).Verify(ctx, Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestReports(t *testing.T) {
	r := Report{Pack: "p", Impl: Info{Name: "i"}, Results: []Result{
		{ID: "a-x-001", Suite: "a", Checks: []Check{{Name: "answer", OK: true}}},
		{ID: "a-x-002", Suite: "a", Checks: []Check{{Name: "answer", Note: `wrong <"&>`}}},
		{ID: "a-x-003", Suite: "a", Checks: []Check{{Name: "answer", OK: true}}},
		{ID: "b-x-001", Suite: "b", Absent: true},
	}}
	want := []Summary{{"a", 2, 1, 0, 3}, {"b", 0, 0, 1, 1}}
	if got := r.Suites(); !slices.Equal(got, want) || got[0].PerCent() != 66 || got[1].PerCent() != -1 || r.OK() {
		t.Errorf("%+v", got)
	}
	var b bytes.Buffer
	if err := r.WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	var doc junitSuites
	if err := xml.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Tests != 4 || doc.Failures != 1 || doc.Skipped != 1 || len(doc.Suites) != 2 ||
		doc.Suites[0].Cases[1].Failure.Message != `answer: wrong <"&>` || doc.Suites[1].Cases[0].Skipped == nil {
		t.Errorf("%s", b.String())
	}
}

func TestSplitCommand(t *testing.T) {
	for line, want := range map[string][]string{
		"node a.js":        {"node", "a.js"},
		"  a\t b ":         {"a", "b"},
		`'a b' "c'd" e"f"`: {"a b", "c'd", "ef"},
		`a ''`:             {"a", ""},
		`a;b $c \d`:        {"a;b", "$c", `\d`},
	} {
		if got, err := SplitCommand(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
	for _, line := range []string{"", "  ", "'a", `a "b`} {
		if got, err := SplitCommand(line); err == nil {
			t.Errorf("%q: %q", line, got)
		}
	}
}
