//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package local

import (
	"errors"
	"os"
)

// tryLock reports that this system has no lock that ends with its process.
func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
