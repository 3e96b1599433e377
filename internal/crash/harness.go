package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// harness performs the sections that are asked for.
type harness struct {
	crashes, retries int
	lanes            int // campaigns of one journal at the same time
	seed             uint64
	tool, script     string
	dir              string
	strace           string // path; "": not installed
	counter          *counter
	server           *server // nil until it is needed
	out              io.Writer
	reports          []Report
	worlds           int
}

// section is one part of what the harness shows.
type section struct {
	name, title string
	run         func(*harness, context.Context) error
}

func sections() []section {
	return []section{
		{"kill", "kill -9 at every named point and at random moments", (*harness).killAll},
		{"power", "power loss of the embedded journal", (*harness).power},
		{"syncs", "durable syncs of one effect, by strace", (*harness).syncs},
		{"faults", "failing reads and writes, by strace", (*harness).ioFaults},
		{"clocks", "clocks that jump while a lease stands", (*harness).clocks},
		{"linear", "linearizability of what callers see", (*harness).linear},
		{"race", "executors race for one id, on PostgreSQL", (*harness).race},
		{"retries", "concurrent retries of one key from 8 processes", (*harness).retryAll},
		{"controls", "negative controls: each must be found", (*harness).controls},
	}
}

func runHarness(ctx context.Context, args []string) int {
	h := &harness{out: os.Stdout}
	var names []string
	for _, s := range sections() {
		names = append(names, s.name)
	}
	flags := flag.NewFlagSet("crash", flag.ContinueOnError)
	flags.IntVar(&h.crashes, "crashes", 100, "crashes for each journal")
	flags.IntVar(&h.lanes, "lanes", 1, "how many campaigns share the crashes of a journal at the same time")
	flags.IntVar(&h.retries, "retries", 10000, "concurrent retries of one key")
	flags.Uint64Var(&h.seed, "seed", 1, "of everything that is chosen at random")
	flags.StringVar(&h.tool, "tool", "", "the native tool's executable; required")
	flags.StringVar(&h.script, "postgres", "scripts/postgres.sh", "script that starts a PostgreSQL server; empty: none")
	only := flags.String("only", strings.Join(names, ","), "sections to perform")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if h.tool == "" || h.lanes < 1 || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "crash: give -tool, lanes, and nothing that is no flag")
		return 2
	}
	if err := h.perform(ctx, strings.Split(*only, ",")); err != nil {
		fmt.Fprintf(os.Stderr, "crash: %v\n", err)
		return 1
	}
	return 0
}

// perform runs the sections one after the other, all of them whatever one shows.
func (h *harness) perform(ctx context.Context, only []string) (err error) {
	if h.dir, err = os.MkdirTemp("", "mythos-crash-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(h.dir)) }()
	defer h.interruptible()()
	if h.counter, err = newCounter(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.counter.close()) }()
	if h.strace, err = exec.LookPath("strace"); err != nil {
		h.say("!! strace is not installed: what needs it fails")
	}
	if h.script != "" {
		if h.server, err = startServer(h.script); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.server.close()) }()
	}
	var errs []error
	for _, s := range sections() {
		if !slices.Contains(only, s.name) {
			continue
		}
		h.say("\n== %s", s.title)
		if err := s.run(h, ctx); err != nil {
			h.say("FAILED: %v", err)
			errs = append(errs, fmt.Errorf("%s: failed", s.name))
		}
	}
	h.say("")
	for _, r := range h.reports {
		raw, err := json.Marshal(r)
		errs = append(errs, err)
		h.say("%s", raw)
	}
	return errors.Join(errs...)
}

// interruptible leaves nothing behind when the harness is interrupted: executors
// and the server end with it. The function returned ends that.
func (h *harness) interruptible() (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			os.RemoveAll(h.dir)
			os.Exit(130)
		case <-done:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

func (h *harness) say(format string, args ...any) { fmt.Fprintf(h.out, format+"\n", args...) }

// world makes a world of its own for a section.
func (h *harness) world(ctx context.Context, native, lax bool) (*World, error) {
	h.worlds++
	dir := filepath.Join(h.dir, fmt.Sprint("w", h.worlds))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	tool := ""
	if native {
		tool = h.tool
	}
	return makeWorld(ctx, dir, h.counter.url, tool, lax)
}

// places are the journals that there are.
func (h *harness) places(w *World) map[string]place {
	all := map[string]place{"embedded": embedded{w}}
	if h.server != nil {
		all["postgres"] = h.server
	}
	return all
}

// campaign is one of this harness.
func (h *harness) campaign(w *World, journal string, p place, crashes int) *campaign {
	h.worlds++ // ledgers in one database have names of their own
	return &campaign{
		world: w, counter: h.counter, place: p, journal: journal, crashes: crashes, tag: fmt.Sprint("c", h.worlds),
		random: rand.New(rand.NewPCG(h.seed, uint64(h.worlds))), log: h.out,
	}
}
