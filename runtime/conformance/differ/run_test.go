package differ

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mythos-run/mythos/runtime/conformance"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// odd is an implementation that answers as a test says.
type odd struct {
	info conformance.Info
	do   func(r conformance.Request) (conformance.Answer, error)
}

func (o odd) Hello(context.Context) (conformance.Info, error) {
	if o.info.Name == "" {
		return o.info, errors.New("it says nothing")
	}
	return o.info, nil
}

func (o odd) Do(_ context.Context, r conformance.Request) (conformance.Answer, error) { return o.do(r) }
func (o odd) Close() error                                                            { return nil }

func starts(o odd) conformance.Start {
	return func(context.Context) (conformance.Impl, error) { return o, nil }
}

// allOps are the ops of this build.
func allOps(t *testing.T) []string {
	t.Helper()
	local, err := conformance.Local(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	info, err := local.Hello(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.Ops
}

// TestAbsent demands that what an implementation does not claim is counted, and
// not compared.
func TestAbsent(t *testing.T) {
	g := newGenerator(t)
	mute := odd{conformance.Info{Name: "mute", Ops: []string{"struct.decode"}}, func(r conformance.Request) (conformance.Answer, error) {
		return conformance.Answer{ID: r.ID, Unsupported: true}, nil
	}}
	none := odd{conformance.Info{Name: "none"}, nil} // it would panic if it were asked
	r, err := Run(t.Context(), g, Options{Cases: 300, Impls: []conformance.Start{starts(mute), starts(none)}})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range r.Impls {
		if p.Compared != 0 || p.Absent != 300 || p.Disagreed != 0 {
			t.Errorf("implementation %d: %+v", i, p)
		}
	}
	if fault.CodeOf(r.Err()) != ErrDisagreed {
		t.Errorf("nothing was compared, and the error is %v", r.Err())
	}
	if r.Cases != 300 || r.Impls[0].Info.Name != "mute" {
		t.Errorf("%+v", r)
	}
}

// TestBroken demands that a case without an answer is a disagreement, that the
// implementation is started again, and not for ever.
func TestBroken(t *testing.T) {
	g := newGenerator(t)
	var asked, started atomic.Int64
	local, err := conformance.Local(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	flaky := func(limit int64) conformance.Start {
		asked.Store(0)
		started.Store(0)
		return func(context.Context) (conformance.Impl, error) {
			started.Add(1)
			return odd{conformance.Info{Name: "flaky", Ops: allOps(t)}, func(r conformance.Request) (conformance.Answer, error) {
				switch n := asked.Add(1); {
				case n <= limit:
					return conformance.Answer{}, &conformance.Broken{Err: errors.New("it fell over")}
				case n == limit+1:
					return conformance.Answer{}, errors.New("it has no answer")
				case n == limit+2:
					return conformance.Answer{ID: "another"}, nil
				}
				return local.Do(t.Context(), r)
			}}, nil
		}
	}
	var why []string
	opt := Options{Cases: 50, Workers: 1, Found: func(d *Disagreement) { why = append(why, d.Why) }}
	opt.Impls = []conformance.Start{flaky(2)}
	r, err := Run(t.Context(), g, opt)
	if err != nil || r.Disagreements() != 4 || fault.CodeOf(r.Err()) != ErrDisagreed || r.Cases != 50 || started.Load() != 4 {
		t.Errorf("%+v after %d starts, %v", r.Impls, started.Load(), err)
	}
	if got := strings.Join(why, "; "); got != `it fell over; it fell over; it has no answer; the answer is to "another"` {
		t.Errorf("found %s", got)
	}
	opt.Impls = []conformance.Start{flaky(1000)}
	if _, err = Run(t.Context(), g, opt); fault.CodeOf(err) != conformance.ErrImpl || started.Load() != maxRestarts+1 {
		t.Errorf("%v after %d starts", err, started.Load())
	}
}

// TestNoStart demands an error where nobody can be asked, or nobody is named.
func TestNoStart(t *testing.T) {
	g := newGenerator(t)
	fails := func(context.Context) (conformance.Impl, error) { return nil, errors.New("it is not there") }
	for name, impls := range map[string][]conformance.Start{"none": nil, "not there": {conformance.Local, fails}, "no hello": {starts(odd{})}} {
		if _, err := Run(t.Context(), g, Options{Cases: 5, Impls: impls}); fault.CodeOf(err) != conformance.ErrImpl {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLocalFails demands that a case that this build has no answer to ends the
// run: the generator made what no op has.
func TestLocalFails(t *testing.T) {
	g := newGenerator(t)
	dumb := starts(odd{conformance.Info{Name: "dumb"}, func(r conformance.Request) (conformance.Answer, error) {
		return conformance.Answer{ID: r.ID, Unsupported: true}, nil
	}})
	if _, err := Run(t.Context(), g, Options{Cases: 5, Local: dumb, Impls: []conformance.Start{conformance.Local}}); fault.CodeOf(err) != conformance.ErrImpl {
		t.Error(err)
	}
}

// TestInterrupted demands that a run ends with its context.
func TestInterrupted(t *testing.T) {
	g := newGenerator(t)
	ctx, stop := context.WithCancel(t.Context())
	r, err := Run(ctx, g, Options{Cases: 1 << 30, Impls: []conformance.Start{conformance.Local}, Progress: func(done, _ int) {
		if done == 20 {
			stop()
		}
	}})
	if !errors.Is(err, context.Canceled) || r.Cases < 20 {
		t.Errorf("%d cases, %v", r.Cases, err)
	}
}

// TestCandidate demands that a disagreement is a vector that this build passes.
func TestCandidate(t *testing.T) {
	g := newGenerator(t)
	var seen []*Disagreement
	_, err := Run(t.Context(), g, Options{
		Cases: 200, Workers: 1, Found: func(d *Disagreement) { seen = append(seen, d) },
		Impls: []conformance.Start{starts(odd{conformance.Info{Name: "wrong", Ops: allOps(t)}, func(r conformance.Request) (conformance.Answer, error) {
			return conformance.Answer{ID: r.ID, OK: true, Error: "both"}, nil
		}})},
	})
	if err != nil || len(seen) != 200 {
		t.Fatal(len(seen), err)
	}
	local, err := conformance.Local(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range seen {
		v := d.Candidate()
		raw, err := json.Marshal(v)
		if err != nil || !json.Valid(raw) {
			t.Fatal(err)
		}
		a, err := local.Do(t.Context(), conformance.Request{ID: v.ID, Op: v.Op, Input: v.Input})
		if err != nil {
			t.Fatal(err)
		}
		c := conformance.Case{Vector: v, Expect: v.Expect}
		c.Result = conformance.Valid
		if v.Expect.Error != "" {
			c.Result = conformance.Invalid
		}
		if wrong := c.Judge(a); wrong != "" || v.Doc == "" {
			t.Errorf("%s: %s", raw, wrong)
		}
	}
}
