package process

import "errors"

// nowait: a pipe can be read by waiting alone.
const nowait = false

// readNow cannot be.
func readNow(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }
