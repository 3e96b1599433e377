//go:build wasip1

package fetch

import (
	"strconv"
	"unsafe"

	"github.com/mythos-run/mythos/sdk/go/tool"
)

//go:wasmimport mythos_v1 http
func hostHTTP(request unsafe.Pointer, n uint32) int32

//go:wasmimport mythos_v1 http_read
func hostHTTPRead(dst unsafe.Pointer, off, n uint32) int32

func do(q *Request) (*Response, error) {
	raw := encode(q).Raw()
	n := hostHTTP(unsafe.Pointer(unsafe.SliceData(raw)), uint32(len(raw)))
	switch {
	case n == -1:
		return nil, tool.ErrDenied
	case n == -2:
		return nil, &Error{"network_target", "the request breaks a rule of the host"}
	case n < 0:
		return nil, &Error{"network_limit", "the host refuses the request with " + strconv.Itoa(int(n))}
	}
	b := make([]byte, n)
	hostHTTPRead(unsafe.Pointer(unsafe.SliceData(b)), 0, uint32(n))
	v, err := tool.Parse(b)
	if err != nil {
		return nil, err
	}
	return decode(v)
}
