//go:build !linux

package main

import (
	"errors"
	"runtime"
)

// resident is known on Linux alone.
func resident() (int64, error) {
	return 0, errors.New("resident memory is not read on " + runtime.GOOS)
}
