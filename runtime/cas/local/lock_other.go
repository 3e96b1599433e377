//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package local

import (
	"errors"
	"os"
)

// canLock says that this system has no lock that ends with its process. All
// objects are then files, and nothing is collected.
const canLock = false

func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }

func waitLock(*os.File, bool) error { return errors.ErrUnsupported }

func linked(*os.File) (bool, error) { return true, nil }
