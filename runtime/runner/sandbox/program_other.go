//go:build !linux

package sandbox

import (
	"context"
	"runtime"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ProgramMain returns: only Linux has a launcher.
func ProgramMain() {}

// Launch refuses: OCI runtimes need Linux.
func (h *Host) Launch(_ context.Context, p Program) (*Process, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	return nil, fault.New(ErrUnavailable, "no OCI runtime on %s; run on Linux, in a virtual machine for one", runtime.GOOS)
}

// CanaryProgram returns nil: there is nothing to try here.
func CanaryProgram() []byte { return nil }
