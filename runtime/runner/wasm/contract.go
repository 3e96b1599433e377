package wasm

import (
	"slices"
	"strings"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/fuel"
	"github.com/mythos-run/mythos/runtime/runner"
)

// The modules that a guest may import from.
const (
	mythosModule = "mythos_v1"
	wasiModule   = "wasi_snapshot_preview1"
)

// HostFunc is a function that a module may import (RFC-MYTHOS-0006 §11.1 and
// §11.3), or fuel's yield. An Engine links it to Host.Call.
type HostFunc struct {
	Module, Name    string
	Params, Results []byte // wasm value types

	call     func(h *Host, mem memory, stack []uint64)
	hostcall bool  // only with the hostcall abi
	general  bool  // answers the same to every request, and changes nothing else
	needs    uint8 // kind of the capability under which alone it may be imported; 0: none
}

const (
	i32 = 0x7f
	i64 = 0x7e
)

type importName struct{ module, name string }

// Contract returns all that an engine must link, by module and name.
func Contract() []*HostFunc {
	var out []*HostFunc
	for _, f := range contract() {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *HostFunc) int {
		return strings.Compare(a.Module+"\x00"+a.Name, b.Module+"\x00"+b.Name)
	})
	return out
}

// contract returns everything a module may import, and yield, which only a
// rewritten one can.
var contract = sync.OnceValue(func() map[importName]*HostFunc {
	t := func(params ...byte) []byte { return params }
	all := map[importName]*HostFunc{}
	add := func(module, name string, f HostFunc) {
		f.Module, f.Name = module, name
		all[importName{module, name}] = &f
	}
	add(fuel.HostModule, fuel.YieldImport, HostFunc{call: yield, general: true})
	add(mythosModule, "request_len", HostFunc{Results: t(i32), call: requestLen, hostcall: true})
	add(mythosModule, "request_read", HostFunc{Params: t(i32, i32, i32), Results: t(i32), call: requestRead, hostcall: true})
	add(mythosModule, "response_write", HostFunc{Params: t(i32, i32), Results: t(i32), call: responseWrite, hostcall: true})
	add(mythosModule, "log", HostFunc{Params: t(i32, i32, i32), call: logLine})
	grant := func(name string, needs uint8, call func(*Host, memory, []uint64), result byte, params ...byte) {
		add(mythosModule, name, HostFunc{Params: params, Results: t(result), call: call, hostcall: true, needs: needs})
	}
	grant("now_us", runner.CapClock, nowMicros, i64)
	grant("random", runner.CapRandom, randomFill, i32, i32, i32)
	grant("blob_get", runner.CapBlobRead, blobGet, i32, i32, i64, i32, i32)
	grant("http", runner.CapNetConnect, httpCall, i32, i32, i32)
	grant("http_read", runner.CapNetConnect, httpRead, i32, i32, i32, i32)
	for name, f := range map[string]struct {
		params  []byte
		call    func(*Host, memory, []uint64) errno
		general bool
	}{
		"args_get":            {t(i32, i32), argsGet, true},
		"args_sizes_get":      {t(i32, i32), argsSizesGet, true},
		"clock_time_get":      {t(i32, i64, i32), clockTimeGet, true},
		"environ_get":         {t(i32, i32), environGet, true},
		"environ_sizes_get":   {t(i32, i32), environSizesGet, true},
		"fd_close":            {t(i32), fdClose, false},
		"fd_fdstat_get":       {t(i32, i32), fdFdstatGet, true},
		"fd_fdstat_set_flags": {t(i32, i32), fdFdstatSetFlags, true},
		"fd_prestat_dir_name": {t(i32, i32, i32), fdPrestat, true},
		"fd_prestat_get":      {t(i32, i32), fdPrestat, true},
		"fd_read":             {t(i32, i32, i32, i32), fdRead, false},
		"fd_seek":             {t(i32, i64, i32, i32), fdSeek, true},
		"fd_write":            {t(i32, i32, i32, i32), fdWrite, false},
		"poll_oneoff":         {t(i32, i32, i32, i32), pollOneoff, false},
		"random_get":          {t(i32, i32), randomGet, true},
		"sched_yield":         {nil, schedYield, true},
	} {
		add(wasiModule, name, HostFunc{Params: f.params, Results: t(i32), call: withErrno(f.call), general: f.general})
	}
	add(wasiModule, "proc_exit", HostFunc{Params: t(i32), call: procExit})
	return all
})

// memory is a guest's memory; nil is that of a guest without one.
type memory []byte

// view returns n bytes at off, valid until the guest runs again.
func (m memory) view(off, n uint64) ([]byte, bool) {
	if n > uint64(len(m)) || off > uint64(len(m))-n || m == nil {
		return nil, false
	}
	return m[off : off+n : off+n], true
}

// trap is what a host function panics with to trap the guest.
type trap string

func (t trap) Error() string { return string(t) }

// must is view for mythos_v1, where memory out of range traps.
func (m memory) must(name string, off, n uint64) []byte {
	b, ok := m.view(off, n)
	if !ok {
		panic(trap(name + ": memory out of range"))
	}
	return b
}

// arg returns an i32 argument as u32.
func arg(stack []uint64, i int) uint64 { return uint64(uint32(stack[i])) }
