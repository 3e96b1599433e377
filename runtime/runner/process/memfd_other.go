//go:build !linux

package process

import (
	"errors"
	"os"
)

// sealed needs memory files, which only Linux has.
func sealed(string, []byte, bool) (*os.File, error) {
	return nil, errors.Join(errors.New("memory files"), errors.ErrUnsupported)
}
