package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// peers are the modules whose versions a record names.
var peers = [...]string{
	"github.com/bytecodealliance/wasmtime-go/v39", "github.com/dbos-inc/dbos-transact-golang", "github.com/extism/go-sdk",
	"github.com/fxamacker/cbor/v2", "github.com/jackc/pgx/v5", "go.etcd.io/bbolt", "google.golang.org/protobuf",
	"github.com/tetratelabs/wazero", "modernc.org/sqlite", "zombiezen.com/go/sqlite",
}

// writeHead says what was run, when, where and with which versions.
func writeHead(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "# Benchmarks\n\n- command: `make bench` (`go run . %s` in bench/)\n", strings.Join(os.Args[1:], " "))
	fmt.Fprintf(w, "- date: %s\n- Go: %s %s/%s, GOMAXPROCS %d\n- CPU: %s\n", now.Format(time.RFC3339),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), cpuModel())
	writeLoad(w, "at the start")
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	versions := map[string]string{}
	for _, d := range info.Deps {
		versions[d.Path] = d.Version
	}
	for _, p := range peers {
		if versions[p] == "" {
			versions[p] = "not built in"
		}
		fmt.Fprintf(w, "- %s %s\n", p, versions[p])
	}
}

// cpuModel returns the processor's name where the system tells.
func cpuModel() string {
	raw, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// writeLoad says how much else the machine had to do, where the system tells.
func writeLoad(w io.Writer, when string) {
	raw, err := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(raw)); err == nil && len(fields) >= 3 {
		fmt.Fprintf(w, "- load average %s: %s on %d processors\n", when, strings.Join(fields[:3], " "), runtime.NumCPU())
	}
}
