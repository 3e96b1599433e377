// Command mutants asks whether the conformance vectors would notice a wrong
// implementation. It changes the verifying code of this one, one small change at
// a time, and runs the vectors, and nothing else, against each:
//
//	go run ./internal/mutants -n 200 -seed 1
//
// files.go lists the verifying files. A mutant is one operator flipped (== and
// !=, < and <=, && and ||, + and -, ...), one condition negated, one integer moved
// by one, true and false swapped, or one error, code or bool of a return turned
// round. All of them, in the order of a hash of the seed and the mutant, are
// built into the program ("go build -overlay"; no file of the project changes)
// until N have compiled. A mutant is caught if "mythos ctvp verify" fails, crashes
// or does not end, first with the suites nearest to the file, then with all. One whose program is the same file as without it
// changes nothing, and neither does one that ctvp/README.md lists as equivalent.
//
// The exit status is 1 if a mutant survives that the README does not list, or if
// fewer than 95 of 100 that change something are caught.
//
// Builds use the build cache that GOCACHE names.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		stop()
		os.Exit(1)
	}
}

// wanted is the least share of the mutants that change something which must be
// caught, in per cent.
const wanted = 95

// options are the command line.
type options struct {
	n       int
	seed    uint64
	root    string
	match   *regexp.Regexp // of keys; nil: all
	workers int
	limit   time.Duration
	log     string // a file; "": none
}

func parse(args []string) (options, error) {
	o := options{}
	f := flag.NewFlagSet("mutants", flag.ContinueOnError)
	f.IntVar(&o.n, "n", 200, "how many mutants that compile")
	f.Uint64Var(&o.seed, "seed", 1, "the order")
	f.StringVar(&o.root, "root", ".", "the folder of the project")
	f.IntVar(&o.workers, "workers", 2, "how many at the same time")
	f.DurationVar(&o.limit, "timeout", 15*time.Second, "how long one run may use a processor")
	f.StringVar(&o.log, "log", "", "keep outcomes in `FILE`, and go on where an interrupted run ended")
	match := f.String("match", "", "only mutants whose file, function or text matches; their share is not judged")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.n < 1 || o.workers < 1 || o.limit < time.Second || f.NArg() != 0 {
		return o, fmt.Errorf("-n and -workers are at least 1, -timeout 1s, and there are no arguments")
	}
	var err error
	if o.root, err = filepath.Abs(o.root); err != nil {
		return o, err
	}
	if *match != "" {
		o.match, err = regexp.Compile(*match)
	}
	return o, err
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if _, err := known(o.root); err != nil {
		return err
	}
	all, err := mutants(os.DirFS(o.root), o.seed)
	if err != nil {
		return err
	}
	if o.match != nil {
		all = slices.DeleteFunc(all, func(m mutant) bool { return !o.match.MatchString(m.Key()) })
	}
	work, err := os.MkdirTemp("", "mythos-mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	l := &lab{root: o.root, work: work, limit: o.limit}
	if err := l.prepare(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d mutants of %d files; seed %d, the first %d that compile\n", len(all), len(listed()), o.seed, o.n)
	t := &tally{out: out, want: o.n}
	try := l.try
	if o.log != "" {
		log, err := openLog(o.log, l.plain)
		if err != nil {
			return err
		}
		defer log.file.Close()
		try = log.keep(try)
	}
	if err := inOrder(ctx, o.workers, all, try, t.add); err != nil {
		return err
	}
	list, err := known(o.root) // again: a long run leaves time to write the rows that it asks for
	if err != nil {
		return err
	}
	return t.finish(o.seed, o.match != nil, list)
}

// known reads the table of survivors.
func known(root string) (map[string]survivor, error) {
	readme, err := os.ReadFile(filepath.Join(root, "ctvp", "README.md"))
	if err != nil {
		return nil, err
	}
	list, err := survivors(string(readme))
	if err != nil {
		return nil, fmt.Errorf("ctvp/README.md: %w", err)
	}
	return list, nil
}
