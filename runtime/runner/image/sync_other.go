//go:build !linux

package image

import (
	"errors"
	"os"

	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// syncTree does nothing: no image is unpacked where none can run.
func syncTree(string) error { return nil }

// logFile fails: no runtime is started here.
func logFile() (*os.File, error) { return nil, errors.ErrUnsupported }

// lowered returns the limit itself.
func lowered(_ string, want uint64) uint64 { return want }

// isFolder fails: nothing is mounted here.
func isFolder(sandbox.Mount) (bool, error) { return false, errors.ErrUnsupported }
