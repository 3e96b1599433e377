//go:build !unix

package sandbox

import (
	"os"
	"os/exec"
)

func setGroup(*exec.Cmd) {}

func killGroup(*os.Process) {}

func signalOf(*os.ProcessState) int { return 0 }
