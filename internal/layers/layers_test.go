// Package layers holds the tests that keep the shape of the project: which
// package may import which (this file is the authority), that libs are pure,
// that every error code is in ctvp/errors.json, and that files and package
// comments stay readable. It reads the sources itself, whatever their build
// tags, so that no platform hides a violation and the test cache sees every
// file that a verdict depends on.
package layers

import (
	"os"
	"slices"
	"testing"
)

const module = "github.com/mythos-run/mythos"

// layer is one row of the diagram: packages at or below dir may import
// packages of the same or a lower rank.
type layer struct {
	rank   int
	dir    string
	reason string
}

// layers lists every folder of Go code; the longest matching dir counts. A
// folder without a row is refused: adding one is a design decision.
var layers = []layer{
	{6, "runtime/cmd", "mains: fifteen lines that call internal/cli"},
	{5, "internal/crash", "kills executors and looks at what is left"},
	{5, "internal/cli", "commands: the only package that knows cobra, stdout and exit codes"},
	{4, "runtime/pack", "turns a source folder into a signed package"},
	{4, "runtime/oci", "packages as OCI artifacts"},
	{4, "runtime/node", "one node: home folder, keys, trust, store, ledger and engine put together"},
	{4, "runtime/conformance", "runs conformance packs against this implementation"},
	{4, "registry", "the registry service; it moves bytes and executes nothing"},
	{4, "ctvp/gen", "writes the conformance vectors with the product's own encoders"},
	{3, "runtime/transfer", "copies closures between stores and remotes"},
	{3, "runtime/executor", "the loading order and the effect pipeline, over ports"},
	{3, "runtime/gate", "authorisation of one effect: chains, ring policy, revocation"},
	{2, "runtime/runner", "runs module code; knows requests and responses, nothing of authority"},
	{2, "runtime/cas", "content-addressed objects on disk and elsewhere"},
	{2, "runtime/journal", "the durable ledger"},
	{2, "runtime/closure", "the objects that a package consists of"},
	{2, "runtime/remote", "object stores of other machines"},
	{1, "internal/atomicfile", "temp, sync, rename"},
	{1, "internal/term", "terminal width, colour and progress"},
	{1, "internal/watch", "tells when source files change"},
	{1, "internal/config", "flags, environment and config files"},
	{1, "internal/obs", "logs, metrics and spans"},
	{1, "internal/view", "the JSON view of canonical values"},
	{1, "internal/capcheck", "compares two evaluators of capability chains"},
	{1, "internal/cangen", "generates codecs from spec/schema.can"},
	{1, "internal/v8counts", "meters guests for the check against V8"},
	{1, "internal/layers", "these tests"},
	{1, "internal/ledgermodel", "explores the ledger's rules apart from the ledger's code"},
	{1, "internal/mutants", "changes verifying code, one place at a time, to try the vectors"},
	{1, "internal/scaffold", "writes the source folder of a new package from templates and the SDKs"},
	{1, "internal/specref", "the test of references into spec/"},
	{1, "internal/strictjson", "reads the JSON files that people write, strictly"},
	{1, "ctvp", "conformance data and the error table, embedded"},
	{1, "sdk", "the guest SDKs' sources, embedded"},
	{1, "sdk/go", "guest SDK: what a module links"},
	{1, "tools", "guest modules"},
	{0, "runtime/libs", "pure functions from bytes to bytes; their edges are the table below"},
}

// edges lists, for every package under runtime/libs, the libs it may import.
// Each row gives its reason; fault, can and cid are the common ground.
var edges = map[string][]string{
	"fault":    {},                                                                 // the error type and its codes
	"can":      {"fault"},                                                          // canonical bytes
	"cid":      {"can", "fault"},                                                   // ids are hashes of canonical bytes
	"sig":      {"can", "cid", "fault"},                                            // signatures are over ids
	"merkle":   {"can", "cid", "fault"},                                            // nodes name their children by id
	"blob":     {"can", "cid", "fault", "merkle"},                                  // a chunked blob is a Merkle shape
	"codebook": {"can", "cid", "fault"},                                            // a list with an id
	"dataset":  {"can", "cid", "fault", "merkle", "blob", "receipt", "ir"},         // predicates are IR expressions over episodes and receipts
	"receipt":  {"can", "cid", "fault", "sig"},                                     // signed statements about one call
	"caps":     {"can", "cid", "fault", "sig"},                                     // signed chains of authority
	"wire":     {"can", "cid", "fault", "sig", "codebook", "ir"},                   // a packet is signed, names a codebook, carries a bundle
	"ir":       {"can", "cid", "fault", "sig", "abi", "blob"},                      // a bundle names its author, calls tools, holds blob references
	"fuel":     {"can", "cid", "fault"},                                            // the cost schedule and its rewriter
	"abi":      {"can", "cid", "fault"},                                            // requests, responses and frames
	"manifest": {"can", "cid", "fault", "sig", "merkle", "blob", "receipt", "abi"}, // artifacts are blobs; attestations; tool ids
	"ledger":   {"can", "cid", "fault", "sig", "receipt"},                          // a commit names a receipt
	"evidence": {"can", "cid", "fault", "sig", "merkle", "receipt", "ledger"},      // joins receipts and entries under one root
	"tlog":     {"cid", "fault", "sig"},                                            // a tree of hashes, its heads signed
	"rings":    {"can", "cid", "fault", "sig", "ir", "receipt", "ledger"},          // policies bound budgets and demand attestations; ring states are ledger entries
}

// pure lists the standard packages that libs may import: none of them reads a
// clock, file, environment, network or random source of its own accord (the
// few functions that do are in impure below). Anything else is refused.
var pure = []string{
	"bufio", "bytes", "cmp", "errors", "fmt", "io", "iter", "maps", "slices", "sort",
	"strconv", "strings", "unicode", "unicode/utf8", "unicode/utf16",
	"math", "math/big", "math/bits", "time",
	"container/heap", "hash", "hash/crc32",
	"crypto/ed25519", "crypto/sha256", "crypto/sha512", "crypto/subtle",
	"encoding/base64", "encoding/binary", "encoding/hex", "encoding/json", "encoding/pem",
	"context",       // a caller's context may be passed through
	"sync",          // OnceValue for values derived from constants
	"regexp",        // fixed patterns; linear time
	"compress/gzip", // bounded readers over bytes
}

// impure lists the functions of pure packages that libs must not name.
var impure = map[string][]string{
	"time":           {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local", "LoadLocation"},
	"context":        {"Background", "TODO", "WithTimeout", "WithDeadline", "AfterFunc"},
	"fmt":            {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
	"crypto/ed25519": {"GenerateKey"},
}

// ban says that packages at or below from must not import any of to, at
// whatever rank. A trailing slash bans only what is below.
type ban struct {
	from   string
	to     []string
	reason string
}

var never = []ban{
	{"runtime/executor", []string{"runtime/runner/", "runtime/cas/", "runtime/journal/"}, "the executor works over ports, not over a concrete runner or store"},
	{"runtime/gate", []string{"runtime/runner", "runtime/executor"}, "authorisation runs nothing"},
	{"runtime/runner", []string{"runtime/libs/ledger", "runtime/libs/receipt", "runtime/libs/caps", "runtime/journal"}, "a runner cannot leak what it does not know"},
	{"runtime/cas", []string{"runtime/runner", "runtime/journal", "runtime/libs/ledger", "runtime/libs/caps"}, "a store holds bytes"},
	{"runtime/journal", []string{"runtime/runner", "runtime/cas"}, "the ledger stands alone"},
	{"registry", []string{"runtime/executor", "runtime/gate", "runtime/runner", "runtime/journal"}, "a registry executes nothing"},
	{"sdk/go", []string{"runtime/", "internal/", "ctvp"}, "a guest links the SDK alone"},
	{"tools", []string{"runtime/executor", "runtime/gate", "runtime/runner", "runtime/cas", "runtime/journal", "internal/", "ctvp"}, "guests are not hosts"},
	{"ctvp", []string{"internal/"}, "data that others embed"},
	{"internal/atomicfile", []string{"runtime/executor", "internal/"}, "a leaf"},
	{"internal/term", []string{"runtime/", "internal/"}, "a leaf"},
	{"internal/capcheck/second", []string{"runtime/libs/ledger", "runtime/libs/rings", "runtime/gate", "internal/"}, "a second evaluator has no rule of the first"},
	{"internal/ledgermodel", []string{"runtime/", "internal/"}, "a model shares no code with what it models"},
}

// confined names, for every import path outside the standard library (and for
// a few of our own), the only folders that may import it. A dependency
// without a row is refused.
type confinement struct {
	path   string
	dirs   []string
	reason string
}

var confined = []confinement{
	{"github.com/spf13/cobra", []string{"internal/cli"}, "commands live in one package"},
	{"github.com/spf13/pflag", []string{"internal/cli"}, "cobra's flags"},
	{"github.com/tetratelabs/wazero", []string{"runtime/runner/wasm"}, "one engine behind the runner port"},
	{"zombiezen.com/go/sqlite", []string{"runtime/journal", "registry/sqlitedb", "registry/index/sqlite", "registry/ociapi/catalog/sqlite"}, "one database behind the journal, one behind a registry's index"},
	{"github.com/jackc/pgx/v5", []string{"runtime/journal/postgres", "registry/index/postgres", "registry/ociapi/catalog/postgres"}, "the other database behind the journal, and behind a registry of several replicas"},
	{"oras.land/oras-go/v2", []string{"runtime/oci"}, "OCI registries behind the remote port"},
	{"github.com/opencontainers", []string{"runtime/oci", "registry"}, "the structs of OCI"},
	{"golang.org/x/sync", []string{"runtime/transfer"}, "groups of goroutines that end together"},
	{"github.com/minio/minio-go/v7", []string{"runtime/remote/bucket/s3"}, "S3 behind the bucket port"},
	{"github.com/Azure/azure-sdk-for-go", []string{"runtime/remote/bucket/azure"}, "Azure Blob behind the bucket port"},
	{"modernc.org/sqlite", []string{"runtime/journal"}, "the engine underneath, for its version"},
	{"golang.org/x/term", []string{"internal/term"}, "terminals"},
	{"golang.org/x/sys", []string{"internal/atomicfile", "runtime/cas", "runtime/journal", "runtime/runner"}, "sync, locks and sandboxes need system calls"},
	{"github.com/klauspost/compress", []string{"runtime/conformance", "runtime/runner/image"}, "zstd, which the standard library does not have"},
	{"github.com/anishathalye/porcupine", []string{"internal/crash"}, "checks histories for linearizability"},
	{module + "/internal/cli", []string{"runtime/cmd"}, "only mains run commands"},
	{module + "/ctvp", []string{"internal/cli", "runtime/conformance", "registry", "ctvp"}, "data for those who report errors and run vectors"},
}

// testOnly lists what only tests and acceptance suites (packages named
// ...test) may import.
var testOnly = []string{
	"testing",
	"github.com/google/go-cmp",
	"github.com/rogpeppe/go-internal",
	"go.uber.org/goleak",
	"golang.org/x/mod", // the second implementation of logs and notes
	"pgregory.net/rapid",
}

// project reads every Go file of the project, two folders up.
func project(t *testing.T) []file {
	t.Helper()
	root, err := os.OpenRoot("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	files, err := load(root.FS())
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("found only %d Go files: is the root wrong?", len(files))
	}
	return files
}

func TestLayers(t *testing.T) {
	for _, v := range checkLayers(project(t)) {
		t.Error(v)
	}
}

// TestTables keeps the tables themselves sound: an edge to a lib that has no
// row, or a cycle, would be a hole.
func TestTables(t *testing.T) {
	var done []string
	for len(done) < len(edges) {
		before := len(done)
		for lib, to := range edges {
			ready := !slices.ContainsFunc(to, func(dep string) bool { return !slices.Contains(done, dep) })
			if ready && !slices.Contains(done, lib) {
				done = append(done, lib)
			}
		}
		if len(done) == before {
			t.Fatalf("edges have a cycle or name a lib without a row; sound so far: %v", done)
		}
	}
	for pkg := range impure {
		if !slices.Contains(pure, pkg) {
			t.Errorf("impure names %s, which libs may not import at all", pkg)
		}
	}
}

// TestLayersCatch shows that each rule refuses what it is for, and only that.
func TestLayersCatch(t *testing.T) {
	m := `"` + module + `/`
	for name, c := range map[string]struct{ path, src, want string }{
		"lib without imports":    {"runtime/libs/nowhere/a.go", `package nowhere`, "not in the table of libs"},
		"lib imports os":         {"runtime/libs/can/a.go", `package can; import _ "os"`, "libs are pure"},
		"lib imports rand":       {"runtime/libs/can/a.go", `package can; import "crypto/rand"; var _ = rand.Reader`, "libs are pure"},
		"lib imports upwards":    {"runtime/libs/can/a.go", `package can; import _ ` + m + `runtime/libs/cid"`, "not an allowed edge"},
		"lib imports I/O":        {"runtime/libs/can/a.go", `package can; import _ ` + m + `runtime/cas"`, "libs import only libs"},
		"lib imports a module":   {"runtime/libs/can/a.go", `package can; import _ "golang.org/x/sys/unix"`, "no dependencies"},
		"lib reads the clock":    {"runtime/libs/can/a.go", `package can; import "time"; var _ = time.Now()`, "time.Now"},
		"lib keeps the clock":    {"runtime/libs/can/a.go", `package can; import tm "time"; var now = tm.Now`, "time.Now"},
		"lib prints":             {"runtime/libs/can/a.go", `package can; func f() { println(1) }`, "println"},
		"lib starts a goroutine": {"runtime/libs/can/a.go", `package can; func f() { go f() }`, "go statement"},
		"lib makes keys":         {"runtime/libs/sig/a.go", `package sig; import "crypto/ed25519"; var _ = ed25519.GenerateKey`, "ed25519.GenerateKey"},
		"dot import":             {"runtime/cas/a.go", `package cas; import . "os"`, "dot import"},
		"unknown folder":         {"runtime/util/a.go", `package util`, "not in the layer table"},
		"upwards":                {"runtime/cas/a.go", `package cas; import _ ` + m + `runtime/executor"`, "points up"},
		"concrete runner":        {"runtime/executor/a.go", `package executor; import _ ` + m + `runtime/runner/wasm"`, "works over ports"},
		"runner knows caps":      {"runtime/runner/wasm/a.go", `package wasm; import _ ` + m + `runtime/libs/caps"`, "cannot leak"},
		"cobra elsewhere":        {"runtime/pack/a.go", `package pack; import _ "github.com/spf13/cobra"`, "confined"},
		"sqlite elsewhere":       {"runtime/node/a.go", `package node; import _ "zombiezen.com/go/sqlite/sqlitex"`, "confined"},
		"x/sys elsewhere":        {"runtime/executor/a.go", `package executor; import _ "golang.org/x/sys/unix"`, "confined"},
		"cli elsewhere":          {"runtime/cas/a.go", `package cas; import _ ` + m + `internal/cli"`, "confined"},
		"unknown dependency":     {"runtime/cas/a.go", `package cas; import _ "github.com/pkg/errors"`, "no row"},
		"test library":           {"runtime/cas/a.go", `package cas; import _ "pgregory.net/rapid"`, "only in tests"},
		"acceptance suite":       {"runtime/cas/a.go", `package cas; import _ ` + m + `runtime/cas/castest"`, "only in tests"},
		"init":                   {"runtime/cas/a.go", `package cas; func init() {}`, "init"},
	} {
		t.Run(name, func(t *testing.T) { wantViolation(t, checkLayers(parse(t, c.path, c.src)), c.want) })
	}
	for name, c := range map[string]struct{ path, src string }{
		"edge":              {"runtime/libs/cid/a.go", `package cid; import _ ` + m + `runtime/libs/can"`},
		"local called time": {"runtime/libs/can/a.go", `package can; type c struct{ Now int }; func f(time c) int { return time.Now }`},
		"method init":       {"runtime/cas/a.go", `package cas; type s struct{}; func (s) init() {}`},
		"port":              {"runtime/executor/a.go", `package executor; import _ ` + m + `runtime/runner"`},
		"suite":             {"runtime/cas/castest/a.go", `package castest; import _ "testing"; import _ ` + m + `runtime/cas"`},
		"test file":         {"runtime/libs/can/a_test.go", `package can; import _ "os"; import _ "pgregory.net/rapid"`},
		"nested module":     {"bench/a.go", `package main; import _ "github.com/fxamacker/cbor/v2"`},
	} {
		t.Run("allowed "+name, func(t *testing.T) {
			for _, v := range checkLayers(parse(t, c.path, c.src)) {
				t.Errorf("refused: %s", v)
			}
		})
	}
}
