//go:build unix

package tool

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// maxSecret bounds the value of a secret.
const maxSecret = 1 << 20

// Secret returns the value of the secret name, which a native tool with the
// grant SecretRead finds behind a descriptor (RFC-MYTHOS-0006 §12). Without the
// grant it is ErrDenied.
func Secret(name string) ([]byte, error) {
	text := os.Getenv("MYTHOS_SECRET_" + secretVariable(name) + "_FD")
	if text == "" {
		return nil, ErrDenied
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, errors.New("secret " + strconv.Quote(name) + ": no descriptor")
	}
	// Read by offset: a worker asks for it in every call.
	value := make([]byte, 0, 4096)
	for len(value) <= maxSecret {
		n, err := syscall.Pread(fd, value[len(value):cap(value)], int64(len(value)))
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return nil, os.NewSyscallError("pread", err)
		case n == 0:
			return value, nil
		default:
			value = append(value[:len(value)+n], make([]byte, 4096)...)[:len(value)+n]
		}
	}
	return nil, errors.New("secret " + strconv.Quote(name) + ": over 1 MiB")
}

// secretVariable returns name in capitals, with _ for what is no letter and no
// digit.
func secretVariable(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z':
			return c - 'a' + 'A'
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			return c
		}
		return '_'
	}, name)
}
