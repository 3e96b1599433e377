// Package runner is the port through which an executor invokes modules
// (RFC-MYTHOS-0006 §10). A Runner serves one kind of module: it is given the
// canonical request bytes and returns the response bytes as the module wrote
// them, together with how the call ended. It decodes neither: a response that
// is not canonical is the executor's to refuse. A module sees its request and
// nothing else: no ledger, no key, no other call's data.
//
// The port has an acceptance suite, package runnertest, which every Runner
// passes. Framing and the bounded log are here too, because every kind uses
// them.
package runner

import (
	"context"
	"io"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes that every runner raises.
const (
	// ErrRequestTooLarge: the request exceeds the module's own limit; nothing ran.
	ErrRequestTooLarge fault.Code = "request_too_large"
	// ErrLimits: the module's limits are out of the runner's range.
	ErrLimits fault.Code = "module_limits"
	// ErrKind: the module is of another kind, or its abi is unknown to this runner.
	ErrKind fault.Code = "module_kind"
	// ErrDigest: Load returned bytes that are not the module's.
	ErrDigest fault.Code = "module_digest_mismatch"
	// ErrTranscriptDiffers: executed again, the module did something else.
	ErrTranscriptDiffers fault.Code = "transcript_differs"
	// ErrClosed: the runner was closed.
	ErrClosed fault.Code = "runner_closed"
)

// Module kinds, ModuleRef field 1.
const (
	KindWASM    uint8 = 1
	KindProcess uint8 = 2
	KindImage   uint8 = 3
	KindNative  uint8 = 4
)

// Module abis, ModuleRef field 9.
const (
	ABIHostcall uint8 = 1
	ABIStdio    uint8 = 2
)

// SandboxOwnKernel is the sandbox level of a module that cannot reach the
// host's kernel at all; a wasm module has it.
const SandboxOwnKernel uint8 = 4

// MaxMessage bounds MaxRequest, MaxResponse and MaxStderr: lengths cross a wasm
// module's boundary as i32, where the negative half means an error.
const MaxMessage = 1<<31 - 1

// Module is one module and the limits under which it runs.
type Module struct {
	Digest cid.Hash // SHA-256 of the module's bytes: the key of every cache
	Kind   uint8    // KindWASM ..
	ABI    uint8    // ABIHostcall or ABIStdio
	Entry  []string // wasm: one export name, "_start" if empty; else argv
	Limits Limits

	Package cid.Hash // id of the package that the module came in
	Runtime Runtime  // of a process module
	Reuse   bool     // one worker may serve many calls; never with wasm
	Caps    []uint8  // kinds of the capabilities that its manifest asks for, CapBlobRead ..

	// Load returns the module's verified bytes. It is called only when nothing
	// is cached for Digest, perhaps from another goroutine and, under single
	// flight, on behalf of several calls; its ctx ends with the Runner, not with
	// the call.
	Load func(context.Context) ([]byte, error)
	// Open streams what the module's own bytes name by hash: a file of its tree,
	// the config or a layer of its image. The last byte is handed out only once
	// size and hash are known to be right. Wasm and native modules need none.
	Open func(ctx context.Context, sha256 cid.Hash, size uint64) (io.ReadCloser, error)
}

// Runtime is the interpreter that a process module asks for.
type Runtime struct {
	Name    string // "node" or "python3"
	Version string // comparisons, as ">=20 <25"; "": any
}

// Limits bound one call; they come from the manifest and have no defaults.
type Limits struct {
	Timeout     time.Duration // wall clock of one call, above 0
	MemoryBytes uint64        // linear memory, in whole pages of 64 KiB; the rest of a page is not given
	Fuel        *uint64       // instructions; nil: the wall clock alone bounds them
	MaxRequest  uint64        // bytes, 1..MaxMessage
	MaxResponse uint64        // bytes, 1..MaxMessage
	MaxStderr   uint64        // bytes of log kept, 0..MaxMessage
	MaxIOCalls  uint32        // granted hostcalls that touch the world
}

// Check reports limits that no runner can honour, as ErrLimits.
func (l *Limits) Check() error {
	switch {
	case l.Timeout <= 0:
		return fault.New(ErrLimits, "timeout is %v, must be above 0", l.Timeout)
	case l.MaxRequest == 0 || l.MaxRequest > MaxMessage:
		return fault.New(ErrLimits, "max_request_bytes is %d, must be in 1..%d", l.MaxRequest, MaxMessage)
	case l.MaxResponse == 0 || l.MaxResponse > MaxMessage:
		return fault.New(ErrLimits, "max_response_bytes is %d, must be in 1..%d", l.MaxResponse, MaxMessage)
	case l.MaxStderr > MaxMessage:
		return fault.New(ErrLimits, "max_stderr_bytes is %d, at most %d", l.MaxStderr, MaxMessage)
	}
	return nil
}

// Call is one invocation.
type Call struct {
	Module      Module
	Request     []byte   // canonical ToolRequest; must not change until Run returns
	RequestHash cid.Hash // SHA-256 of Request; it seeds the guest's random source
	Grants      Grants

	// Share names who may share a worker with this call: a hash over package,
	// capabilities, authority and holder. Calls with different Share never meet
	// in one process.
	Share cid.Hash
}

// Outcome says how a call ended. What it means for the effect is the
// executor's rule (RFC-MYTHOS-0006 §14).
type Outcome uint8

// The outcomes. Those from Trapped to FuelExhausted, and for a wasm module
// NoResponse and ResponseTooLarge, are functions of the module and its request
// alone, as long as no hostcall that touches the world was granted.
const (
	// Answered: Result.Response holds one complete body within the limit.
	Answered Outcome = iota + 1
	// NotStarted: the call ended before the first request byte was delivered.
	NotStarted
	// Trapped: the module crashed.
	Trapped
	// Exited: the module ended by itself with a status other than 0.
	Exited
	// MemoryExceeded: a memory growth was refused, and the module then trapped
	// or exited.
	MemoryExceeded
	// FuelExhausted: the instruction limit was reached.
	FuelExhausted
	// TimedOut: the wall clock limit or the caller's context ended the call.
	TimedOut
	// Killed: the host ended the call for a reason of its own, such as a failure
	// while the module ran. Nothing is known about the module.
	Killed
	// NoResponse: the module ended cleanly without one complete response.
	NoResponse
	// ResponseTooLarge: the response is over the limit.
	ResponseTooLarge
)

// String returns the outcome in snake_case, for people and logs.
func (o Outcome) String() string {
	names := [...]string{
		"", "answered", "not_started", "trapped", "exited", "memory_exceeded", "fuel_exhausted",
		"timed_out", "killed", "no_response", "response_too_large",
	}
	if o == 0 || int(o) >= len(names) {
		return "unknown"
	}
	return names[o]
}

// Result is how a call ended and what is recorded about it.
type Result struct {
	Outcome      Outcome
	Response     []byte // set iff Answered; owned by the caller
	Detail       string // why, for people; never hashed, never compared
	Log          []byte // the module's log, bounded and escaped; never authoritative
	LogTruncated bool
	Engine       string        // what ran it, evidence field 10
	FuelSchedule *uint16       // evidence field 11; nil: not metered
	FuelUsed     *uint64       // evidence field 12; nil: not metered
	SandboxLevel uint8         // evidence field 13
	Transcript   []byte        // canonical io transcript, evidence field 18; nil: no granted hostcall was made
	Objects      [][]byte      // what Transcript names by response_cid, each its SHA-256
	Interpreter  *cid.Hash     // SHA-256 of a process module's runtime, evidence field 19
	Wall         time.Duration // from the start of the module to its end
}

// Recording is what a call met in the world, and how it answered.
type Recording struct {
	Transcript []byte // Result.Transcript; nil: no granted hostcall was made
	// Object returns what the transcript names by its CID, at most limit bytes.
	Object func(ctx context.Context, id cid.Hash, limit uint64) ([]byte, error)
	// ResponseHash is the SHA-256 of the response that the module gave. nil: the
	// caller compares what Replay returns.
	ResponseHash *cid.Hash
}

// Replayer is a Runner whose calls can be executed again.
type Replayer interface {
	Runner
	// Replay runs a module as Run does, but answers every granted hostcall from a
	// recording: nothing outside is touched, and Call.Grants are not used. A call
	// that the recording does not have in its place, one of it that is not made,
	// or another response is ErrTranscriptDiffers. What Run reports as an error,
	// Replay does too; a call that this host ended (NotStarted, TimedOut, Killed)
	// shows nothing.
	Replay(context.Context, Call, Recording) (Result, error)
}

// Runner invokes modules of one kind. It is safe for concurrent use.
type Runner interface {
	// Kind returns the module kind that this runner serves.
	Kind() uint8
	// Check reports why this runner would refuse the module: its format,
	// imports, entry and limits. It runs nothing.
	Check(context.Context, Module) error
	// Run invokes a module once. It returns an error only if nothing of the
	// module ran: the module is refused, as by Check, or the host failed before
	// the start. Everything else is an Outcome.
	Run(context.Context, Call) (Result, error)
	// Close refuses further calls, waits for those that run, and releases what
	// the runner holds. Closing again does nothing.
	Close() error
}
