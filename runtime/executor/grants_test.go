package executor_test

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
	"github.com/mythos-run/mythos/runtime/runner"
)

// scripted is a runner that answers from a function.
type scripted struct {
	runner.Runner
	run func(runner.Call) (runner.Result, error)
}

func (s *scripted) Run(_ context.Context, c runner.Call) (runner.Result, error) { return s.run(c) }

// script replaces the bench's runner.
func (b *bench) script(run func(runner.Call) (runner.Result, error)) {
	b.config.Runners = []runner.Runner{&scripted{b.engine, run}}
}

func answered(runner.Call) (runner.Result, error) {
	return runner.Result{Outcome: runner.Answered, Response: response(200, []byte{can.Null}), Engine: "test"}, nil
}

// needs packs an echo whose module requires capabilities.
func (b *bench) needs(required ...any) *gate.Package {
	return b.load(packtest.Spec{Modules: []packtest.Module{{Retry: "never", Source: map[string]any{"caps_required": required}}}})
}

func requirement(p caps.Power) map[string]any {
	view, err := can.AppendJSON(nil, p.AppendCAN(nil))
	if err != nil {
		panic(err)
	}
	return map[string]any{"kind": p.Kind(), "scope": rawJSON(view)}
}

// rawJSON is JSON that stands as it is.
type rawJSON []byte

func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

// give issues a power.
func (b *bench) give(p caps.Power) *caps.Chain {
	now := b.clock.now()
	return b.issue(authorityKey, caps.Capability{
		Subject: b.holder(), Scope: caps.ScopeOf(p),
		NotBefore: now.Add(-time.Hour).UnixMicro(), ExpiresAt: now.Add(time.Hour).UnixMicro(),
	})
}

// TestPowerMissing: a module that needs a power gets it or does not run.
func TestPowerMissing(t *testing.T) {
	b := newBench(t)
	b.script(func(runner.Call) (runner.Result, error) {
		t.Error("the module ran")
		return runner.Result{}, nil
	})
	pkg := b.needs(map[string]any{"kind": caps.KindClock})
	_, err := b.run(pkg, "r", b.grant(pkg, nil))
	wantCode(t, err, executor.ErrCapMissing)
	pkg = b.needs(requirement(&caps.FsRead{Path: "/etc"}))
	_, err = b.run(pkg, "q", b.grant(pkg, nil), b.give(&caps.FsRead{Path: "/etc/ssl"}))
	wantCode(t, err, caps.ErrScope)
	b.wantLog("run_record refusal run_record refusal")
}

// TestGrants: the runner gets what the module asked for, within its proofs, and the
// evidence names them.
func TestGrants(t *testing.T) {
	b := newBench(t)
	b.config.Secret = func(name string) ([]byte, error) { return []byte("value of " + name), nil }
	b.script(func(c runner.Call) (runner.Result, error) {
		g := c.Grants
		if !g.Clock || g.Random || g.Net != nil || g.Blob != nil || c.Share.IsZero() || c.Module.Package.IsZero() {
			t.Errorf("granted %+v, share %s, package %s", g, c.Share, c.Module.Package)
		}
		if len(g.Read) != 1 || g.Read[0] != "/srv/data" || len(g.Write) != 1 || g.Write[0] != (runner.FsWrite{Path: "/srv/out", MaxBytes: 10}) {
			t.Errorf("read %q, write %+v", g.Read, g.Write)
		}
		if len(g.Secrets) != 1 || g.Secrets[0].Name != "token" {
			t.Fatalf("secrets %+v", g.Secrets)
		}
		if v, err := g.Secrets[0].Value(); err != nil || string(v) != "value of token" {
			t.Errorf("secret %q, %v", v, err)
		}
		return answered(c)
	})
	pkg := b.needs(
		requirement(&caps.FsRead{Path: "/srv/data"}), requirement(&caps.FsWrite{Path: "/srv/out", MaxBytes: 10}),
		map[string]any{"kind": caps.KindClock}, map[string]any{"kind": caps.KindSecretRead},
	)
	call, read := b.grant(pkg, nil), b.give(&caps.FsRead{Path: "/srv"})
	res, err := b.run(pkg, "r", call, read,
		b.give(&caps.FsWrite{Path: "/srv", MaxBytes: 1000}), b.give(&caps.Clock{}), b.give(&caps.SecretRead{Name: "token"}))
	if err != nil {
		t.Fatal(err)
	}
	ids := b.evidenceOf(res).CapIDs
	if len(ids) != 5 || ids[0] != call.LeafID() || ids[1] != read.LeafID() {
		t.Errorf("evidence names %v", ids)
	}
}

func (b *bench) evidenceOf(res *executor.Result) evidence.EffectEvidence {
	b.t.Helper()
	var rec receipt.Receipt
	if _, err := sig.Open(res.Effects[0].Receipt, &rec); err != nil {
		b.t.Fatal(err)
	}
	raw, err := b.ledger.Object(b.t.Context(), rec.Evidence[0])
	if err != nil {
		b.t.Fatal(err)
	}
	var ev evidence.EffectEvidence
	r := can.NewReader(raw)
	ev.ReadCAN(&r)
	if err := r.Done(); err != nil {
		b.t.Fatal(err)
	}
	return ev
}

// TestNetworkGrant: every connection is judged by the module's own scope and by
// the proof, at the time of use.
func TestNetworkGrant(t *testing.T) {
	b := newBench(t)
	var net *runner.Net
	b.script(func(c runner.Call) (runner.Result, error) {
		net = c.Grants.Net
		return answered(c)
	})
	pkg := b.needs(requirement(&caps.NetConnect{Hosts: []string{"api.example.com", "10.0.0.7"}, Ports: []uint32{443}}))
	proof := b.give(&caps.NetConnect{Hosts: []string{"*.example.com", "10.0.0.7"}, Ports: []uint32{80, 443}})
	if _, err := b.run(pkg, "r", b.grant(pkg, nil), proof); err != nil {
		t.Fatal(err)
	}
	public, private, loopback := netip.MustParseAddr("93.184.215.14"), netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("::ffff:127.0.0.1")
	for _, x := range []struct {
		runner.Connect
		ok bool
	}{
		{runner.Connect{Host: "api.example.com", Addr: public, Port: 443}, true},
		{runner.Connect{Host: "api.example.com", Addr: public, Port: 443, Method: "GET"}, true},
		{runner.Connect{Host: "10.0.0.7", Addr: private, Port: 443}, true},
		{runner.Connect{Host: "api.example.com", Addr: private, Port: 443}, true}, // named literally
		{runner.Connect{Host: "api.example.com", Addr: loopback, Port: 443}, false},
		{runner.Connect{Host: "api.example.com", Addr: public, Port: 80}, false},  // the module's own scope
		{runner.Connect{Host: "www.example.com", Addr: public, Port: 443}, false}, // likewise
		{runner.Connect{Host: "example.org", Addr: public, Port: 443}, false},
		{runner.Connect{Host: "api.example.com", Port: 443}, false},
	} {
		if err := net.Allow(x.Connect); (err == nil) != x.ok || err != nil && !errors.Is(err, runner.ErrDenied) {
			t.Errorf("%+v: %v", x.Connect, err)
		}
	}
	if net.HTTPOnly {
		t.Error("no methods were named")
	}
	b.clock.advance(2 * time.Hour)
	if err := net.Allow(runner.Connect{Host: "api.example.com", Addr: public, Port: 443}); !errors.Is(err, caps.ErrExpired) {
		t.Errorf("after the proof's end: %v", err)
	}
}

// TestHTTPOnly: a grant with methods gives no bare connection.
func TestHTTPOnly(t *testing.T) {
	b := newBench(t)
	var net *runner.Net
	b.script(func(c runner.Call) (runner.Result, error) {
		net = c.Grants.Net
		return answered(c)
	})
	pkg := b.needs(map[string]any{"kind": caps.KindNetConnect})
	proof := b.give(&caps.NetConnect{Hosts: []string{"example.com"}, Ports: []uint32{443}, Methods: []string{"GET"}})
	if _, err := b.run(pkg, "r", b.grant(pkg, nil), proof); err != nil {
		t.Fatal(err)
	}
	c := runner.Connect{Host: "example.com", Addr: netip.MustParseAddr("93.184.215.14"), Port: 443}
	if !net.HTTPOnly || net.Allow(c) == nil {
		t.Errorf("a bare connection under methods: HTTPOnly %v", net.HTTPOnly)
	}
	c.Method = "GET"
	if err := net.Allow(c); err != nil {
		t.Error(err)
	}
	c.Method = "POST"
	if net.Allow(c) == nil {
		t.Error("POST under GET")
	}
}

// TestBlobGrant: a blob is read by its cid, within the range of the proof.
func TestBlobGrant(t *testing.T) {
	b := newBench(t)
	body := make([]byte, 5<<20)
	for i := range body {
		body[i] = byte(i * 7 >> 3)
	}
	for _, size := range []int{1000, len(body)} {
		a, err := cas.PutBlob(t.Context(), b.objects, bytes.NewReader(body[:size]))
		if err != nil {
			t.Fatal(err)
		}
		id := a.CID
		length := uint64(900)
		b.script(func(c runner.Call) (runner.Result, error) {
			dst := make([]byte, 100)
			n, err := c.Grants.Blob(t.Context(), id, 850, dst[:50])
			if err != nil || n != 50 || string(dst[:n]) != string(body[850:900]) {
				t.Errorf("read %d, %v", n, err)
			}
			if _, err := c.Grants.Blob(t.Context(), id, 850, dst); !errors.Is(err, runner.ErrDenied) {
				t.Errorf("beyond the range: %v", err)
			}
			if _, err := c.Grants.Blob(t.Context(), cid.Sum([]byte("other")), 0, dst[:1]); !errors.Is(err, runner.ErrDenied) {
				t.Errorf("another blob: %v", err)
			}
			return answered(c)
		})
		pkg := b.needs(map[string]any{"kind": caps.KindBlobRead})
		start := uint64(0)
		proof := b.give(&caps.BlobRead{CID: id, RangeStart: &start, RangeLen: &length})
		if _, err := b.run(pkg, "r"+id.Hex()[:8], b.grant(pkg, nil), proof); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKindsAgree: runners know the kinds of capabilities by numbers of their own.
func TestKindsAgree(t *testing.T) {
	for here, there := range map[uint8]uint8{
		runner.CapBlobRead: caps.KindBlobRead, runner.CapNetConnect: caps.KindNetConnect, runner.CapFsRead: caps.KindFsRead,
		runner.CapFsWrite: caps.KindFsWrite, runner.CapClock: caps.KindClock, runner.CapRandom: caps.KindRandom,
		runner.CapSecretRead: caps.KindSecretRead,
	} {
		if here != there {
			t.Errorf("%s is %d for runners", caps.KindName(there), here)
		}
	}
}

// TestNoAnswerIsDoubt: once the world may have been touched, an end without an
// answer is no answer.
func TestNoAnswerIsDoubt(t *testing.T) {
	for _, o := range []runner.Outcome{
		runner.Trapped, runner.Exited, runner.MemoryExceeded, runner.FuelExhausted, runner.NoResponse, runner.TimedOut, runner.Killed,
	} {
		for _, touched := range []bool{false, true} {
			b := newBench(t)
			b.script(func(runner.Call) (runner.Result, error) {
				res := runner.Result{Outcome: o, Engine: "test", Detail: "scripted"}
				if touched {
					res.Transcript = []byte{can.Null}
				}
				return res, nil
			})
			pkg := b.needs(map[string]any{"kind": caps.KindRandom})
			_, err := b.run(pkg, "r", b.grant(pkg, nil), b.give(&caps.Random{}))
			stopped := o == runner.TimedOut || o == runner.Killed
			switch {
			case touched:
				wantCode(t, err, ledger.ErrInDoubt)
				b.wantLog("run_record register resolution")
			case stopped:
				b.wantLog("run_record register resolution")
			case err != nil:
				t.Errorf("%v untouched: %v", o, err)
			default:
				b.wantLog("run_record register commit run_seal")
			}
		}
	}
}
