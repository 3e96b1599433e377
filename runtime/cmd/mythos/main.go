// Command mythos packs, verifies, runs and inspects MYTHOS packages. Its
// commands are in internal/cli.
package main

import (
	"context"
	"os"

	"github.com/mythos-run/mythos/internal/cli"
	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// build names this build: -ldflags "-X main.build=...".
var build string

func main() {
	sandbox.Main()
	os.Exit(cli.Run(context.Background(), os.Args[1:], cli.System(build)))
}
