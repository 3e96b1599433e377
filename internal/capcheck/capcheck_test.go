package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/internal/capcheck/second"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
)

// TestAgree judges some thousand chains; scripts/fuzz_caps.sh judges more of them.
func TestAgree(t *testing.T) {
	chains := uint64(4000)
	if testing.Short() {
		chains = 800
	}
	var out bytes.Buffer
	if err := run(&out, 7, chains, -1, 2); err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{
		"accepted", "cap_signature", "cap_chain_broken", "cap_not_delegable", "cap_subject", "cap_window", "cap_expired", "cap_scope", "cap_constraint",
	} {
		if !strings.Contains(out.String(), code) {
			t.Errorf("no chain ended in %s:\n%s", code, out.String())
		}
	}
}

// A chain is drawn valid: with a use that its leaf covers it is accepted.
func TestSoundChains(t *testing.T) {
	if can.Valid(payload()) != nil {
		t.Fatal("the payload is not canonical")
	}
	for n := range uint64(200) {
		c := dice{rand.New(rand.NewPCG(n, 1))}.sound()
		v := second.Evaluate(caps.EncodeProof(c.raw), second.Use{
			Kind: 35, Subject: keys[executor].Agent().Key, Now: now, Trusts: func([32]byte) bool { return true },
		})
		if v.Rule != "use" && v.Rule != "constraint_use" && v.Rule != "subset" && v.Rule != "constraint_subset" && v.Rule != "revocation" && v.Code != "" {
			t.Errorf("chain %d: %+v", n, v)
		}
	}
}

// TestIndependent keeps the second evaluator apart from the first: of package caps it
// may name generated structs and the call, of sig keys and the check of a signature.
func TestIndependent(t *testing.T) {
	src, err := os.ReadFile("second/second.go")
	if err != nil {
		t.Fatal(err)
	}
	code := 0
	for line := range strings.Lines(string(src)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			code++
		}
	}
	if code > 300 {
		t.Errorf("second.go has %d lines of code, at most 300", code)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "second.go", src, 0)
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string][]string{
		"caps": {
			"Capability", "Revocations", "Call", "BlobRead", "BlobWrite", "BlobPin", "BlobDelete", "ToolCall", "TrainRun", "EvalRun", "DeployPromote", "ComputeSpawn",
			"CellRead", "CellWrite", "NetConnect", "FsRead", "FsWrite", "Clock", "Random", "SecretRead", "PackageRun", "PackagePublish",
		},
		"sig":   {"AgentID", "VerifyStrict"},
		"cid":   {"Hash", "Sum"},
		"fault": {"Code", "CodeOf"},
	}
	ast.Inspect(file, func(n ast.Node) bool {
		x, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if from, ok := x.X.(*ast.Ident); ok && allowed[from.Name] != nil && !slices.Contains(allowed[from.Name], x.Sel.Name) {
			t.Errorf("second.go names %s.%s", from.Name, x.Sel.Name)
		}
		return true
	})
}
