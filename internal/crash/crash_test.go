package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// TestMain lets the test binary be the harness's executors.
func TestMain(m *testing.M) {
	sandbox.Main()
	if len(os.Args) == 3 && os.Args[1] == "child" {
		os.Exit(start(context.Background(), os.Args[1:]))
	}
	os.Exit(m.Run())
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	c, err := newCounter()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.close() })
	return &harness{dir: t.TempDir(), counter: c, out: t.Output(), seed: 1, retries: 8 * retriers}
}

// TestCampaign kills real executors a few times and finds nothing wrong.
func TestCampaign(t *testing.T) {
	h := newHarness(t)
	w, err := h.world(t.Context(), false, false)
	if err != nil {
		t.Fatal(err)
	}
	c := h.campaign(w, "embedded", embedded{w}, 12)
	if err := c.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.verdict(); err != nil {
		t.Error(err)
	}
	if c.report.Crashes != 12 || c.report.Effects == 0 {
		t.Errorf("the report is %+v", c.report)
	}
	left, err := filepath.Glob(filepath.Join(h.dir, "power*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestRefuse checks that processes without the lock are refused by name.
func TestRefuse(t *testing.T) {
	if err := newHarness(t).refuse(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestRetry retries one key from waiting writers.
func TestRetry(t *testing.T) {
	h := newHarness(t)
	w, err := h.world(t.Context(), false, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.retry(t.Context(), w, "embedded", embedded{w}); err != nil {
		t.Error(err)
	}
}

// TestBook shows that the outside view holds against executors what they must not
// say, and only that.
func TestBook(t *testing.T) {
	h := newHarness(t)
	w, err := h.world(t.Context(), false, false)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := w.load(t.Context(), w.Light, nil)
	if err != nil {
		t.Fatal(err)
	}
	const run = "nhk-1-2"
	id, err := runName(run).idem(pkg)
	if err != nil {
		t.Fatal(err)
	}
	x := id.Hex()
	begun := "S " + run
	for name, c := range map[string]struct {
		lines []string
		want  string // in the first fault; "": none
	}{
		"all is well":           {[]string{"open", begun, "R " + x, "I " + x, "C " + x + " aa", "D " + run + " bb fresh aa", "D " + run + " bb replayed aa", "end"}, ""},
		"a crash explains it":   {[]string{begun, "R " + x, begun, "E " + run + " effect_in_progress held", "E " + run + " effect_in_doubt lost"}, ""},
		"a misused key":         {[]string{begun, "S nhc-1-2", "E nhc-1-2 idempotency_conflict used"}, ""},
		"a misused key passed":  {[]string{begun, "S nhc-1-2", "D nhc-1-2 bb fresh cc"}, "two requests"},
		"another receipt":       {[]string{begun, "C " + x + " aa", "D " + run + " bb replayed cc"}, "another receipt"},
		"other bytes":           {[]string{begun, "D " + run + " bb fresh aa", "D " + run + " cc replayed aa"}, "other bytes"},
		"two commits":           {[]string{begun, "C " + x + " aa", "C " + x + " bb"}, "second receipt"},
		"doubt after it":        {[]string{begun, "C " + x + " aa", "E " + run + " effect_in_doubt lost"}, "was acknowledged"},
		"a conflict of its own": {[]string{begun, "E " + run + " idempotency_conflict used"}, "idempotency_conflict"},
		"any other refusal":     {[]string{begun, "E " + run + " ledger_corrupt broken"}, "ledger_corrupt"},
		"an unknown id":         {[]string{begun, "R " + strings.Repeat("0", 64)}, "no run has"},
		"an unknown line":       {[]string{"hello"}, "no sense"},
		"a name that is none":   {[]string{"S zzz-1"}, "no run's name"},
	} {
		b := newBook(pkg, nil)
		for _, line := range c.lines {
			b.note(line)
		}
		switch {
		case c.want == "" && len(b.faults) > 0:
			t.Errorf("%s: %v", name, b.faults)
		case c.want != "" && (len(b.faults) == 0 || !strings.Contains(b.faults[0], c.want)):
			t.Errorf("%s: got %v, want %q", name, b.faults, c.want)
		}
	}
}

// TestVerdict shows that each thing that must not be makes a campaign fail.
func TestVerdict(t *testing.T) {
	for name, change := range map[string]func(*campaign){
		"a duplicate":    func(c *campaign) { c.report.Duplicates["never"] = 1 },
		"a loss":         func(c *campaign) { c.report.Lost = 1 },
		"unlisted doubt": func(c *campaign) { c.report.InDoubt = 1 },
		"a fault":        func(c *campaign) { c.faults = []string{"the log does not verify"} },
	} {
		c := &campaign{report: Report{Duplicates: map[string]int{"pure": 3}}}
		if err := c.verdict(); err != nil {
			t.Fatal(err)
		}
		if change(c); c.verdict() == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// TestJudge holds one effect against what the ledger and the world say.
func TestJudge(t *testing.T) {
	doubt := string(ledger.ErrInDoubt)
	open := &ledger.State{Phase: ledger.Open}
	for name, c := range map[string]struct {
		e            effect
		s            *ledger.State
		calls        int
		listed       bool
		lost, faults int
	}{
		"never begun":              {effect{}, nil, 0, false, 0, 0},
		"in doubt and listed":      {effect{code: doubt}, open, 1, true, 0, 0},
		"in doubt, not listed":     {effect{code: doubt}, open, 1, false, 0, 1},
		"invoked, unknown":         {effect{}, nil, 1, false, 0, 1},
		"listed without doubt":     {effect{}, open, 0, true, 0, 1},
		"invoked twice":            {effect{code: doubt}, open, 2, true, 0, 1},
		"register lost":            {effect{registered: true}, nil, 0, false, 1, 1},
		"commit lost":              {effect{receipt: "aa", registered: true}, open, 0, false, 1, 1},
		"receipt without a call":   {effect{}, &ledger.State{Phase: ledger.Committed}, 0, false, 0, 1},
		"invoked, and the id gone": {effect{registered: true}, nil, 1, false, 1, 2},
	} {
		p := &part{campaign: &campaign{report: Report{Duplicates: map[string]int{}}}, book: newBook(nil, nil)}
		c.e.run = "nhk-1-1"
		p.judge(t.Context(), nil, &c.e, c.s, c.calls, c.listed)
		if p.report.Lost != c.lost || len(p.book.faults) != c.faults {
			t.Errorf("%s: %d lost, %v; want %d and %d faults", name, p.report.Lost, p.book.faults, c.lost, c.faults)
		}
	}
}
