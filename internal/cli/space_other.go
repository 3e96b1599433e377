//go:build !linux && !darwin

package cli

import (
	"errors"
	"runtime"
)

// freeSpace cannot be asked here.
func freeSpace(string) (uint64, error) {
	return 0, errors.New("free space is not known on " + runtime.GOOS)
}
