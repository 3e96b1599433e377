package manifest

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Module kinds (ModuleRef field 1).
const (
	ModuleWasm    uint8 = 1
	ModuleProcess uint8 = 2
	ModuleOCI     uint8 = 3
	ModuleNative  uint8 = 4
)

// Retry classes (ModuleRef field 6): what may happen to a call that is in
// doubt.
const (
	RetryNever      uint8 = 0 // stays in doubt until resolved
	RetryIdempotent uint8 = 1 // the module dedupes on the key, end to end
	RetryPure       uint8 = 2 // no outside effect
	RetryReconcile  uint8 = 3 // a probe finds out
)

// Calling conventions (ModuleRef field 9).
const (
	ABIHostcall uint8 = 1
	ABIStdio    uint8 = 2
)

// Bounds of a module (RFC-MYTHOS-0006 §13).
const (
	MaxArgs      = 64
	MaxArg       = 4096
	MaxCaps      = 64
	MinTimeout   = 1_000         // microseconds
	MaxTimeout   = 3_600_000_000 // microseconds: an hour
	MinMemory    = 64 << 10
	MaxMemory    = 65_535 << 16 // one page less than can be addressed: its size must fit 32 bits
	MaxFuel      = 1<<63 - 1
	MinMessage   = 256 // bytes of a request or response
	MaxMessage   = 16 << 20
	MaxStderr    = 16 << 20
	MaxHostcalls = 1_000_000
)

// ModuleKindName names a module kind.
func ModuleKindName(k uint8) string {
	names := [...]string{"", "wasm", "process", "oci-image", "native"}
	if k == 0 || int(k) >= len(names) {
		return "kind " + strconv.Itoa(int(k))
	}
	return names[k]
}

// ID returns the tool's id: it covers name, interface and types, not what
// people read about it (RFC-MYTHOS-0002 §7).
func (x *Tool) ID() cid.Hash {
	return abi.ToolID(x.Name, x.Interface, x.RequestTypeID, x.ResponseTypeID)
}

// validate checks one binding by itself.
func (x *ModuleBinding) validate(kinds map[cid.Hash]uint8) error {
	m := &x.Module
	switch why, limit := m.bad(x.Variant), m.Limits.bad(m.Kind); {
	case !CheckToolName(x.Tool.Name):
		return fault.New(ErrTool, "%s: want lower-case words joined by . _ / or -, at most %d bytes, not below mythos/", quote(x.Tool.Name), MaxName)
	case x.ToolID != x.Tool.ID():
		return fault.New(sig.ErrID, "tool_id says %s, the tool says %s", x.ToolID, x.Tool.ID()).About(x.Label())
	case why != "":
		return fault.New(ErrModule, "%s", why).About(x.Label())
	case limit != "":
		return fault.New(ErrModuleLimits, "%s", limit).About(x.Label())
	}
	return x.resolve(kinds)
}

// resolve checks that what the binding names is among the artifacts.
func (x *ModuleBinding) resolve(kinds map[cid.Hash]uint8) error {
	for _, ref := range []struct {
		h    *cid.Hash
		kind uint8
		name string
	}{
		{x.Tool.Description, KindDoc, " description"},
		{x.Tool.RequestSchema, KindSchema, " request_schema"},
		{x.Tool.ResponseSchema, KindSchema, " response_schema"},
		{&x.Module.CID, ArtifactOf(x.Module.Kind), " module"},
	} {
		if ref.h == nil {
			continue
		}
		if err := resolve(kinds, *ref.h, ref.kind, x.Label()+ref.name); err != nil {
			return err
		}
	}
	return nil
}

// ArtifactOf returns the kind of artifact that a module of kind k is, 0 if
// there is no such module.
func ArtifactOf(k uint8) uint8 {
	switch k {
	case ModuleWasm, ModuleNative:
		return KindModule
	case ModuleProcess:
		return KindTree
	case ModuleOCI:
		return KindImage
	}
	return 0
}

// bad says which rule for modules x breaks, or nothing.
func (x *ModuleRef) bad(variant string) string {
	wasm := x.Kind == ModuleWasm
	switch {
	case variant != "" && !CheckWord(variant):
		return quote(variant) + " is not a variant's name"
	case ArtifactOf(x.Kind) == 0:
		return "module kind is not 1..4"
	case x.Retry > RetryReconcile:
		return "retry is not 0..3"
	case x.ABI != ABIStdio && !(wasm && x.ABI == ABIHostcall):
		return "abi is 1 (hostcall, wasm only) or 2 (stdio)"
	case wasm && x.Reuse:
		return "reuse does not apply to wasm: every call has a fresh instance"
	case (len(x.Probe) != 0) != (x.Retry == RetryReconcile):
		return "a probe goes with retry 3 (reconcile), and with no other"
	case len(x.Probe) != 0 && x.badArgs(x.Probe):
		return "probe is one export's name for wasm, else 1 to 64 words of 1 to 4096 bytes without NUL"
	case x.badArgs(x.Entry):
		return "entry is one export's name for wasm, else 1 to 64 words of 1 to 4096 bytes without NUL"
	}
	return cmp.Or(x.badRuntime(), x.badCaps())
}

// badRuntime checks what the module runs on.
func (x *ModuleRef) badRuntime() string {
	switch {
	case (x.Runtime != nil) != (x.Kind == ModuleProcess):
		return "a process module names its runtime, and only a process module does"
	case x.Runtime != nil && x.Runtime.Name != "node" && x.Runtime.Name != "python3":
		return "runtime is node or python3"
	case x.Runtime != nil && !checkConstraint(x.Runtime.Version):
		return "runtime version is comparisons such as \">=3.10 <4\""
	case x.Platform == "" && x.Kind == ModuleNative:
		return "a native module names its platform"
	case x.Platform != "" && x.Kind != ModuleNative && x.Kind != ModuleOCI:
		return "only native and image modules have a platform"
	case x.Platform != "" && !CheckPlatform(x.Platform):
		return "platform is not OS/ARCH in lower case"
	}
	return ""
}

func (x *ModuleRef) badArgs(args []string) bool {
	if len(args) == 0 || len(args) > MaxArgs || x.Kind == ModuleWasm && len(args) != 1 {
		return true
	}
	return slices.ContainsFunc(args, func(a string) bool {
		return a == "" || len(a) > MaxArg || strings.Contains(a, "\x00")
	})
}

func (x *ModuleRef) badCaps() string {
	if len(x.CapsRequired) > MaxCaps {
		return "more than 64 caps_required"
	}
	for i, c := range x.CapsRequired {
		if len(c.Scope) != 0 && can.Valid(c.Scope) != nil {
			return "a scope in caps_required is not one canonical value"
		}
		if i == 0 {
			continue
		}
		p := x.CapsRequired[i-1]
		if cmp.Or(cmp.Compare(p.Kind, c.Kind), bytes.Compare(p.Scope, c.Scope)) >= 0 {
			return "caps_required must ascend by kind and scope, none twice"
		}
	}
	return ""
}

// bad says which limit is out of range, or nothing.
func (x *Limits) bad(kind uint8) string {
	within := func(v, least, most uint64) bool { return v >= least && v <= most }
	switch {
	case !within(x.TimeoutMicros, MinTimeout, MaxTimeout):
		return "timeout_us is not 1,000 (1 ms) to 3,600,000,000 (1 h)"
	case !within(x.MemoryBytes, MinMemory, MaxMemory):
		return "memory_bytes is not 64 KiB to 4 GiB"
	case (x.Fuel != nil) != (kind == ModuleWasm):
		return "a wasm module has fuel, and only a wasm module does"
	case x.Fuel != nil && !within(*x.Fuel, 1, MaxFuel):
		return "fuel is not 1 to 2^63-1"
	case !within(x.MaxRequestBytes, MinMessage, MaxMessage):
		return "max_request_bytes is not 256 to 16,777,216"
	case !within(x.MaxResponseBytes, MinMessage, MaxMessage):
		return "max_response_bytes is not 256 to 16,777,216"
	case x.MaxStderrBytes > MaxStderr:
		return "max_stderr_bytes is over 16,777,216"
	case x.MaxIOCalls > MaxHostcalls:
		return "max_io_calls is over 1,000,000"
	}
	return ""
}
