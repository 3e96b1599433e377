package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

const platform = runtime.GOOS + "/" + runtime.GOARCH

// classes are the retry classes, in the order in which they are reported.
var classes = [...]string{"never", "idempotent", "pure", "reconcile"}

// tool is one tool of the world: a retry class and how it counts. A wasm tool is
// counted where the executor hands it to its runner; http is a wasm tool that
// counts itself at the harness's server, native a program that counts itself in a
// file; trip counts like http and then traps, so that nobody knows.
type tool struct{ class, kind string }

// tools are all tools of the world.
var tools = []tool{
	{"never", "wasm"},
	{"idempotent", "wasm"},
	{"pure", "wasm"},
	{"reconcile", "wasm"},
	{"never", "http"},
	{"idempotent", "http"},
	{"pure", "http"},
	{"reconcile", "http"},
	{"never", "trip"},
	{"never", "native"},
	{"idempotent", "native"},
	{"pure", "native"},
	{"reconcile", "native"},
}

func (t tool) name() string { return "crash/" + t.class + "-" + t.kind }
func (t tool) code() string { return t.class[:1] + codes[t.kind] }
func (t tool) native() bool { return t.kind == "native" }

func (t tool) id() cid.Hash { return abi.ToolID(t.name(), 1, abi.TypeAny, abi.TypeAny) }

var codes = map[string]string{"wasm": "w", "http": "h", "trip": "t", "native": "x"}

// A run's name says all about it: the code of its tool; k if its effect has the
// name as its key, d if the key is derived (and then, but for native tools, another
// effect of class pure follows), c if it uses the key of the run that
// is called the same with a k, for another request; and what makes it unique. The
// run called chain-... is of the entry point chain.
type runName string

func newRun(t tool, mode, unique string) runName { return runName(t.code() + mode + "-" + unique) }

func (n runName) mode() byte { return n[2] }

func (n runName) chain() bool { return strings.HasPrefix(string(n), "chain-") }

func (n runName) tool() tool {
	i := slices.IndexFunc(tools, func(t tool) bool { return strings.HasPrefix(string(n), t.code()) })
	return tools[max(i, 0)]
}

func (n runName) class() string { return n.tool().class }

// key is the caller's key that the effect is under, if it is under one.
func (n runName) key() string {
	unique, _, _ := strings.Cut(string(n[3:]), ":")
	return string(n[:2]) + "k" + unique
}

// conflicting is the run that misuses the key of n.
func (n runName) conflicting() runName { return n[:2] + "c" + n[3:] }

// check refuses a name that is none, so that a mistake of the harness is found.
func (n runName) check() error {
	if n.chain() || len(n) > 4 && n[3] == '-' && strings.IndexByte("kdc", n[2]) >= 0 && n.tool().code() == string(n[:2]) {
		return nil
	}
	return fmt.Errorf("%q is no run's name", string(n))
}

func (n runName) entrypoint() string {
	switch {
	case n.chain():
		return "chain"
	case n.mode() == 'c':
		return string(n[:2]) + "k"
	}
	return string(n[:3])
}

// payload is what the tool is sent.
func (n runName) payload(w *World) string {
	switch {
	case n.tool().native():
		return w.counts()
	case !n.chain() && n.mode() == 'c':
		return "another request"
	}
	return "a request"
}

func (n runName) request(w *World) executor.Request {
	in := can.AppendList(nil, 2)
	in = can.AppendText(in, n.payload(w))
	in = can.AppendText(in, n.key())
	return executor.Request{RunID: string(n), Entrypoint: n.entrypoint(), Inputs: in}
}

// idem is the idempotency id of the run's effect, which the harness computes for
// itself: it is what the tools count by.
func (n runName) idem(pkg *gate.Package) (cid.Hash, error) {
	authority := keys().authority.Agent().KeyID()
	if n.mode() != 'd' {
		var raw []byte
		key, err := ledger.ExplicitKey(authority, authority, []byte(n.key()))
		if err == nil {
			raw = key
		}
		return ledger.IdemID(n.tool().id(), raw), err
	}
	return n.derived(pkg, n.tool(), 0)
}

// derived is the id of the run's effect number ordinal.
func (n runName) derived(pkg *gate.Package, t tool, ordinal uint64) (cid.Hash, error) {
	e, err := pkg.Entry(n.entrypoint())
	if err != nil {
		return cid.Hash{}, err
	}
	authority := keys().authority.Agent().KeyID()
	d := ledger.DerivedKey{RunID: string(n), PackageID: pkg.ID(), Bundle: e.Bundle, TaskID: e.Task.TaskID, Ordinal: ordinal}
	return ledger.IdemID(t.id(), d.IdempotencyKey(authority, authority)), nil
}

// follower is the id of the effect that follows, if one does.
func (n runName) follower(pkg *gate.Package) (id cid.Hash, ok bool, err error) {
	if n.mode() != 'd' || n.chain() || n.tool().native() {
		return id, false, nil
	}
	id, err = n.derived(pkg, followingTool, 1)
	return id, err == nil, err
}

// followingTool is that of effects that follow another one in its run.
var followingTool = tool{"pure", "wasm"}
