// Package tool is the guest SDK for Go: it makes a program whose main calls
// Serve into a MYTHOS tool (RFC-MYTHOS-0006 §10). The same source builds as
//
//   - a wasm module of the hostcall abi (RFC-MYTHOS-0006 §11.1): GOOS=wasip1
//     GOARCH=wasm go build -buildmode=c-shared, a reactor whose entry is run;
//   - a native executable, which speaks frames on stdin and stdout
//     (RFC-MYTHOS-0006 §12): CGO_ENABLED=0 go build.
//
// A tool is one function from a Call, whose payload is a decoded Value, to a
// Value. Failures are made by Fail; any other error, a panic and a Value that
// is not canonical are answered with status 500 and the code "tool_error", and
// their text goes to the log alone. The package uses nothing but the standard
// library and may be copied into another module as it is.
package tool

import (
	"errors"
	"runtime"
	"strconv"
	"unicode/utf8"
)

// Call is one request.
type Call struct {
	// Payload is the request's payload, checked.
	Payload Value
	// ToolID and IdemID are SHA-256 digests. IdemID is the effect's idempotency
	// id, which a tool that dedupes end to end passes on.
	ToolID, IdemID [32]byte
}

// Func is a tool: what it returns is the response's payload.
type Func func(*Call) (Value, error)

// Failure is an error that the caller of the tool is told: its status and code,
// and its message if there is one.
type Failure struct {
	Status  int    // 100 to 599, not 200
	Code    string // 1 to 128 bytes, in snake_case by convention
	Message string // for people; "" is left out

	detail string // for the log
}

// Fail returns a Failure as an error. Status must be 100 to 599 and not 200,
// code 1 to 128 bytes, and both texts UTF-8; else the answer is "tool_error".
func Fail(status int, code, message string) error {
	return &Failure{Status: status, Code: code, Message: message}
}

// Error returns status, code and message.
func (f *Failure) Error() string {
	text := strconv.Itoa(f.Status) + " " + f.Code
	for _, s := range []string{f.Message, f.detail} {
		if s != "" {
			text += ": " + s
		}
	}
	return text
}

func (f *Failure) valid() bool {
	return f.Status >= 100 && f.Status <= 599 && f.Status != statusOK &&
		len(f.Code) >= 1 && len(f.Code) <= maxErrorCode &&
		utf8.ValidString(f.Code) && utf8.ValidString(f.Message)
}

// badRequest is the failure of a request, or a part of it, that is not what the
// tool takes. Its answer has no message; detail is for the log.
func badRequest(detail string) *Failure {
	return &Failure{Status: 400, Code: "bad_request", detail: detail}
}

// A Level says how much a line of the log matters.
type Level uint8

// The levels of the log.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

// Log writes a line to the log, which a host bounds and labels.
func Log(level Level, text string) { logLine(level, text) }

// answer runs f on one encoded ToolRequest and returns the ToolResponse.
func answer(f Func, request []byte) []byte {
	c, err := decodeRequest(request)
	if err != nil {
		return refuse(badRequest(err.Error()))
	}
	v, err := call(f, &c)
	if err == nil {
		err = v.encodable(c.Payload)
	}
	if err != nil {
		return refuse(err)
	}
	return appendResponse(nil, statusOK, v.Raw(), nil)
}

// call calls f; a panic of f is its error.
func call(f Func, c *Call) (v Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			stack := make([]byte, 4096)
			stack = stack[:runtime.Stack(stack, false)]
			err = errors.New("panic: " + panicText(p) + "\n" + string(stack))
		}
	}()
	return f(c)
}

func panicText(p any) string {
	switch p := p.(type) {
	case error:
		return p.Error()
	case string:
		return p
	}
	return "not a text"
}

// refuse returns the response for err. What the caller is not told is logged.
func refuse(err error) []byte {
	var f *Failure
	switch {
	case !errors.As(err, &f):
		Log(Error, "tool_error: "+err.Error())
		f = &Failure{Status: 500, Code: "tool_error"}
	case !f.valid():
		Log(Error, "tool_error: not a failure that may be answered: "+strconv.Quote(f.Error()))
		f = &Failure{Status: 500, Code: "tool_error"}
	case f.detail != "":
		Log(Error, f.Code+": "+f.detail)
	}
	return appendResponse(nil, f.Status, []byte{tagNull}, f)
}
