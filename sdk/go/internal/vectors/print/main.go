// Command print prints the lines of package vectors for the folder of vectors
// that its one argument names, ctvp/vectors.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/mythos-run/mythos/sdk/go/internal/vectors"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: print FOLDER")
		os.Exit(2)
	}
	lines, err := vectors.Lines(os.Args[1])
	if err == nil {
		_, err = fmt.Println(strings.Join(lines, "\n"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
