package cli_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

// stories lends scripts the test that they run in.
type stories struct{ t *testing.T }

// inScript is a testing.TB whose failures end a script.
type inScript struct {
	testing.TB
	ts *testscript.TestScript
}

func (s inScript) Helper()                           {}
func (s inScript) Fatal(args ...any)                 { s.ts.Fatalf("%v", args) }
func (s inScript) Fatalf(format string, args ...any) { s.ts.Fatalf(format, args...) }
func (s inScript) TempDir() string                   { return s.ts.MkAbs(".packtest") }

// source writes a source folder with one module: `source DIR [KEY=VALUE...]`.
// Keys are name, version, ir (a file), module (a guest's name), variant and
// retry, and any limit of a module.
func (s *stories) source(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "source DIR [KEY=VALUE...]")
	spec := packtest.Spec{Modules: []packtest.Module{{Limits: map[string]uint64{}}}}
	m := &spec.Modules[0]
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "name":
			spec.Name = value
		case "version":
			spec.Version = value
		case "ir":
			spec.IR = ts.ReadFile(value)
		case "module":
			m.Wasm = guest(ts, value)
		case "retry":
			m.Retry = value
		case "variant":
			spec.Modules = append(spec.Modules, packtest.Module{Variant: value, Wasm: packtest.EchoWasm("other")})
		default:
			n, err := strconv.ParseUint(value, 10, 64)
			ts.Check(err)
			m.Limits[key] = n
		}
	}
	packtest.WriteSource(inScript{s.t, ts}, ts.MkAbs(args[0]), spec)
}

// guest returns a small module by its name.
func guest(ts *testscript.TestScript, name string) []byte {
	switch name {
	case "echo":
		return packtest.EchoWasm("one line")
	case "rude":
		return packtest.EchoWasm("\x1b[2Jgone")
	case "trap":
		return packtest.TrapWasm()
	case "loop":
		return packtest.LoopWasm()
	case "exit":
		return packtest.ExitWasm(3)
	case "silent":
		return packtest.SilentWasm()
	case "grow":
		return packtest.GrowWasm(4000)
	case "garbage":
		return packtest.AnswerWasm([]byte("this is no response"))
	case "much":
		return packtest.AnswerWasm(bytes.Repeat([]byte{'x'}, 4096))
	case "refuse":
		x := abi.Response{Status: 404, Payload: can.AppendNull(nil), Error: &abi.Error{Code: "not_here"}}
		return packtest.AnswerWasm(x.AppendCAN(nil))
	case "ungranted":
		return packtest.ImportWasm("mythos_v1", "now_us")
	case "unknown":
		return packtest.ImportWasm("env", "open")
	}
	ts.Fatalf("no guest %q", name)
	return nil
}

// faulty writes a package that no packer would write: `package DIR FAULT`. It
// is signed by packtest's publisher, whose key goes to DIR.key.
func (s *stories) faulty(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "package DIR FAULT")
	tb := inScript{s.t, ts}
	spec := packtest.Spec{}
	switch args[1] {
	case "none", "invalid":
	case "unsigned":
		spec.Unsigned = true
	case "future":
		spec.Edit = func(m *manifest.Manifest) { m.Requires.ExecutorMinVersion = "9.0.0" }
	case "codebook":
		spec.Edit = func(m *manifest.Manifest) { m.Requires.CodebookID = cid.Sum(nil) }
	case "feature":
		spec.Edit = func(m *manifest.Manifest) { m.Requires.Features = []string{"ir.level9"} }
	case "unbound":
		spec.Edit = func(m *manifest.Manifest) { m.Modules = nil }
	default:
		ts.Fatalf("no fault %q", args[1])
	}
	ts.Check(os.RemoveAll(tb.TempDir()))
	p := packtest.Build(tb, spec)
	if args[1] == "invalid" {
		p.Manifest.Signatures[0].SigBytes[7] ^= 1
		p.Put(tb, "manifest.bin", p.Manifest.AppendCAN(nil))
		p.Put(tb, "manifest.sig", p.Manifest.AppendSig(nil))
		ts.Check(os.Remove(filepath.Join(p.Dir, "manifest.json")))
		p.Rearchive(tb)
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.Rename(p.Dir, dir))
	ts.Check(os.Rename(p.Archive, dir+".mythos.tgz"))
	ts.Check(os.WriteFile(dir+".key", []byte(sig.FormatSecret(packtest.Key(), sig.Publisher)), 0o600))
}

// trustKey adds an entry to the trust file: `trustkey ROLE KEYFILE`.
func trustKey(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "trustkey ROLE KEYFILE")
	n := home(ts)
	key, _, err := node.LoadKey(ts.MkAbs(args[1]))
	ts.Check(err)
	trust, err := n.Trust()
	ts.Check(err)
	trust, err = trust.With(gate.TrustEntry{Role: sig.Role(args[0]), Keys: []sig.AgentID{key.Agent()}})
	ts.Check(err)
	ts.Check(trust.Save(n.TrustPath()))
}

// capability writes a proof of one link for the executor of this home:
// `capability OUT KEYFILE [expired|early|foreign|forged|calls=N|tool=NAME...]`.
// KEYFILE is made if it is missing.
func capability(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "capability OUT KEYFILE [...]")
	file := ts.MkAbs(args[1])
	key, _, err := node.LoadKey(file)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = node.GenerateKey(file, sig.Authority, "story")
	}
	ts.Check(err)
	executor, err := home(ts).ExecutorKey()
	ts.Check(err)
	now := time.Now()
	c := caps.Capability{Subject: executor.Agent(), NotBefore: now.Add(-time.Minute).UnixMicro(), ExpiresAt: now.Add(time.Hour).UnixMicro()}
	scope := caps.ToolCall{MaxCalls: 10}
	forged := false
	for _, arg := range args[2:] {
		what, value, _ := strings.Cut(arg, "=")
		switch what {
		case "expired":
			c.NotBefore, c.ExpiresAt = now.Add(-2*time.Hour).UnixMicro(), now.Add(-time.Hour).UnixMicro()
		case "early":
			c.NotBefore = now.Add(time.Minute).UnixMicro()
		case "foreign":
			c.Subject = key.Agent()
		case "forged":
			forged = true
		case "calls":
			n, err := strconv.ParseUint(value, 10, 32)
			ts.Check(err)
			scope.MaxCalls = uint32(n)
		case "tool":
			scope.ToolID, err = cid.Parse(value)
			ts.Check(err)
		default:
			ts.Fatalf("no capability %q", arg)
		}
	}
	c.Scope = caps.ScopeOf(&scope)
	raw, _, err := caps.Issue(c, key)
	ts.Check(err)
	if forged {
		raw[len(raw)-1] ^= 1 // the signature stands last
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), caps.EncodeProof([][]byte{raw}), 0o600))
}
