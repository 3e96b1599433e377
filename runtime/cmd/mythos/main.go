// Command mythos packs, verifies, runs and inspects MYTHOS packages. Its
// commands are in internal/cli.
package main

import (
	"context"
	"os"

	"github.com/mythos-run/mythos/internal/cli"
)

// build names this build: -ldflags "-X main.build=...".
var build string

func main() { os.Exit(cli.Run(context.Background(), os.Args[1:], cli.System(build))) }
