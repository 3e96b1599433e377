package packtest

import (
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// ProbedWasm returns a tool of class reconcile, whose world is one blob: its effect
// has happened when the blob is there. The tool looks at the blob, answers response
// if it is there and traps if it is not; its export "probe" says committed, with
// that response if told is true, or not_invoked. Both need BlobRead and one io call.
func ProbedWasm(marker cid.Hash, response []byte, told bool) []byte {
	happened := abi.Probe{Outcome: abi.ProbeCommitted}
	if told {
		happened.Response = response
	}
	missing := abi.Probe{Outcome: abi.ProbeNotInvoked}
	messages := [][]byte{response, success(happened), success(missing)}
	data, at := marker[:], make([]int, len(messages))
	for i, m := range messages {
		at[i] = dataAt + len(data)
		data = append(data, m...)
	}
	write := func(i int) []byte { return join(call(fnWrite, at[i], len(messages[i])), opDrop) }
	return probed(data,
		join(present(), opIf, 0x40, write(0), opElse, opUnreachable, opEnd),
		join(present(), opIf, 0x40, write(1), opElse, write(2), opEnd))
}

// success is a ToolResponse of status 200 with a probe's answer.
func success(x abi.Probe) []byte {
	r := abi.Response{Status: abi.StatusOK, Payload: x.AppendCAN(nil)}
	return r.AppendCAN(nil)
}

const (
	opElse     = 0x05
	opI64Const = 0x42
	opGeS      = 0x4e
	fnBlobGet  = 5
)

// present asks for the first byte of the blob that is named at dataAt.
func present() []byte {
	return join(num(dataAt), opI64Const, 0, num(requestAt), num(1), opCall, fnBlobGet, num(0), opGeS)
}

// probed assembles a module with two exports, _start and probe.
func probed(data, start, probe []byte) []byte {
	const i32, i64 = 0x7f, 0x7e
	types := vec(
		join(0x60, 0, 1, i32),
		join(0x60, 3, i32, i32, i32, 1, i32),
		join(0x60, 2, i32, i32, 1, i32),
		join(0x60, 3, i32, i32, i32, 0),
		join(0x60, 1, i32, 0),
		join(0x60, 0, 0),
		join(0x60, 4, i32, i64, i32, i32, 1, i32), // 6: blob_get
	)
	imports := vec(
		entry("mythos_v1", "request_len", 0), entry("mythos_v1", "request_read", 1), entry("mythos_v1", "response_write", 2),
		entry("mythos_v1", "log", 3), entry("wasi_snapshot_preview1", "proc_exit", 4), entry("mythos_v1", "blob_get", 6),
	)
	function := func(code []byte) []byte {
		body := join(0, code, opEnd)
		return append(size(len(body)), body...)
	}
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, types), section(2, imports), section(3, join(2, 5, 5)), section(5, join(1, 0, 2)),
		section(7, vec(join(text("_start"), 0, 6), join(text("probe"), 0, 7))),
		section(10, vec(function(start), function(probe))),
		section(11, vec(join(0, num(dataAt), opEnd, size(len(data)), data))),
	)
}
