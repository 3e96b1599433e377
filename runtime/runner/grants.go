package runner

import (
	"context"
	"net/netip"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes about grants.
const (
	// ErrGrant: this runner cannot give a module of this kind such a power.
	ErrGrant fault.Code = "module_grant_unsupported"
	// ErrDenied: the grant does not cover this use.
	ErrDenied fault.Code = "grant_denied"
	// ErrAbsent: what was asked for does not exist.
	ErrAbsent fault.Code = "grant_absent"
)

// Kinds of capability that a runner knows (RFC-MYTHOS-0008 §1): what
// Module.Caps holds.
const (
	CapBlobRead   uint8 = 1
	CapNetConnect uint8 = 32
	CapFsRead     uint8 = 33
	CapFsWrite    uint8 = 34
	CapClock      uint8 = 35
	CapRandom     uint8 = 36
	CapSecretRead uint8 = 37
)

// Grants are the powers of one call beside its request: what the module asked
// for and the executor found proofs for. A runner enforces each where it is
// used and gives nothing else; the zero value is no power at all.
type Grants struct {
	Clock   bool // the time of day; a process has it anyway
	Random  bool // secure random bytes; a process has them anyway
	Read    []string
	Write   []FsWrite
	Net     *Net // nil: no network
	Secrets []Secret
	// Blob reads len(dst) bytes of a stored blob at off, fewer at its end; nil: no
	// blob. ErrDenied: not this blob or not this part of it; ErrAbsent: there is no
	// such blob.
	Blob func(ctx context.Context, blob cid.Hash, off uint64, dst []byte) (int, error)
}

// FsWrite lets a module write below Path, an absolute path of this host that it
// finds at the same path; Grants.Read holds such paths to read.
type FsWrite struct {
	Path     string
	MaxBytes uint64 // what the call may add, in bytes
}

// Net lets a module reach hosts through the runner, which asks Allow about every
// single connection, each redirect included, and connects to the very address
// that it asked about.
type Net struct {
	// HTTPOnly: only HTTP requests that the host performs, no bare connection.
	HTTPOnly bool
	// Allow returns nil or why not, as ErrDenied.
	Allow func(Connect) error
}

// Connect is one connection that a module asks for.
type Connect struct {
	Host   string // the lower-case name or address that was asked for
	Addr   netip.Addr
	Port   uint16
	Method string // of an HTTP request that the host performs; "": a bare connection
}

// Secret is a named secret. A runner hands its value on without writing it to a
// log, a file or a transcript.
type Secret struct {
	Name  string
	Value func() ([]byte, error)
}
