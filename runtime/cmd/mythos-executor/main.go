// Command mythos-executor checks and runs MYTHOS packages for services and
// scripts: the executor of mythos without the local dev authority.
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
	os.Exit(cli.RunExecutor(context.Background(), os.Args[1:], cli.System(build)))
}
