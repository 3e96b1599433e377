//go:build !linux

package atomicfile

import "errors"

// exchange swaps two paths in one step, or reports errors.ErrUnsupported.
func exchange(_, _ string) error { return errors.ErrUnsupported }
