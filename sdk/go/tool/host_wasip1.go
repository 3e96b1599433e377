//go:build wasip1

package tool

import (
	"errors"
	"strconv"
	"unsafe"
)

// The hostcalls of RFC-MYTHOS-0006 §11.1. The linker imports only those that a
// tool reaches.

//go:wasmimport mythos_v1 request_len
func hostRequestLen() uint32

//go:wasmimport mythos_v1 request_read
func hostRequestRead(dst unsafe.Pointer, off, n uint32) int32

//go:wasmimport mythos_v1 response_write
func hostResponseWrite(src unsafe.Pointer, n uint32) int32

//go:wasmimport mythos_v1 log
func hostLog(level uint32, text unsafe.Pointer, n uint32)

//go:wasmimport mythos_v1 now_us
func hostNowUs() int64

//go:wasmimport mythos_v1 random
func hostRandom(dst unsafe.Pointer, n uint32) int32

//go:wasmimport mythos_v1 blob_get
func hostBlobGet(cid unsafe.Pointer, off int64, dst unsafe.Pointer, n uint32) int32

// mainMain is the main of the tool. A reactor's _initialize does not call it,
// so that run, the entry, does it for each call.
//
//go:linkname mainMain main.main
func mainMain()

//go:wasmexport run
func run() { mainMain() }

// Serve answers the request of this call with f. It is all that a tool's main
// does.
func Serve(f Func) {
	request := make([]byte, hostRequestLen())
	hostRequestRead(unsafe.Pointer(unsafe.SliceData(request)), 0, uint32(len(request)))
	response := answer(f, request)
	if hostResponseWrite(unsafe.Pointer(unsafe.SliceData(response)), uint32(len(response))) < 0 {
		Log(Error, "the response of "+strconv.Itoa(len(response))+" bytes is over the limit")
	}
}

func logLine(level Level, text string) {
	hostLog(uint32(level), unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}

// NowMicros returns the time, microseconds since the Unix epoch. A wasm module
// needs the grant Clock.
func NowMicros() (int64, error) {
	n := hostNowUs()
	return max(n, 0), hostError(int32(min(n, 0)))
}

// Random fills b with secure random bytes. A wasm module needs the grant Random.
func Random(b []byte) error {
	const most = 1 << 16 // bytes of one hostcall
	for len(b) > 0 {
		part := b[:min(len(b), most)]
		if err := hostError(hostRandom(unsafe.Pointer(unsafe.SliceData(part)), uint32(len(part)))); err != nil {
			return err
		}
		b = b[len(part):]
	}
	return nil
}

// ReadBlob reads from the blob named by the SHA-256 digest cid, from byte off,
// and returns how many bytes it read: at most 1 MiB at once, 0 at the end of the
// blob. It needs the grant BlobRead and is there in wasm alone.
func ReadBlob(cid [32]byte, off int64, b []byte) (int, error) {
	n := hostBlobGet(unsafe.Pointer(&cid), off, unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b)))
	return int(max(n, 0)), hostError(n)
}

// hostError returns the error that a hostcall's negative result stands for.
func hostError(n int32) error {
	switch {
	case n >= 0:
		return nil
	case n == -1:
		return ErrDenied
	case n == -2:
		return errors.New("an argument of a hostcall is out of bounds")
	case n == -3:
		return errors.New("a limit of the call is reached")
	case n == -4:
		return ErrNotFound
	}
	return errors.New("a hostcall failed with " + strconv.Itoa(int(n)))
}
