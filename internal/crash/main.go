// Command crash shows what is left when executors die (RFC-MYTHOS-0005 §3, §9). It
// kills real ones, processes with the real pipeline, runners and journal, at every
// named point and at random moments, starts others that go on, and holds what the
// ledger then says against what is known from outside:
//
//   - what each tool counted for itself, over HTTP or in a file (counter);
//   - what each executor had acknowledged before it died: one line in a pipe for
//     each register, commit and receipt (book);
//   - for the embedded journal, what it wrote and synced (package trace);
//   - who saw what when, of concurrent callers (package history).
//
// A campaign (kill) ends with one line of JSON for each journal. Around it are the
// other sections (harness): power loss, syncs, failing system calls, clocks, races,
// retries, and negative controls, executors and disks with a fault that must be
// found. scripts/crash.sh runs all of it.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

func main() {
	sandbox.Main()
	os.Exit(start(context.Background(), os.Args[1:]))
}

// start is the harness, or one of its executors.
func start(ctx context.Context, args []string) int {
	if len(args) != 2 || args[0] != "child" {
		return runHarness(ctx, args)
	}
	if err := runChild(ctx, args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "crash: an executor:", err)
		return 1
	}
	return 0
}
