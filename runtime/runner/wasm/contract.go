package wasm

import (
	"context"
	"math"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// The modules that a guest may import from.
const (
	mythosModule = "mythos_v1"
	wasiModule   = "wasi_snapshot_preview1"
)

// function is one function of the contract. params and results are wasm value
// types; call takes its arguments from the stack and leaves its result there.
type function struct {
	params, results []api.ValueType
	call            func(c *call, mem memory, stack []uint64)
	hostcall        bool // only with the hostcall abi
	granted         bool // only under a capability; not callable yet
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// contract returns everything a module may import (RFC-MYTHOS-0006 §11.1 and
// §11.3).
var contract = sync.OnceValue(func() map[importName]function {
	t := func(params ...api.ValueType) []api.ValueType { return params }
	all := map[importName]function{}
	for name, f := range map[string]function{
		"request_len":    {results: t(i32), call: requestLen, hostcall: true},
		"request_read":   {params: t(i32, i32, i32), results: t(i32), call: requestRead, hostcall: true},
		"response_write": {params: t(i32, i32), results: t(i32), call: responseWrite, hostcall: true},
		"log":            {params: t(i32, i32, i32), call: logLine},
		"now_us":         {granted: true},
		"random":         {granted: true},
		"blob_get":       {granted: true},
		"http":           {granted: true},
		"http_read":      {granted: true},
	} {
		all[importName{mythosModule, name}] = f
	}
	for name, f := range map[string]struct {
		params []api.ValueType
		call   func(*call, memory, []uint64) errno
	}{
		"args_get":            {t(i32, i32), argsGet},
		"args_sizes_get":      {t(i32, i32), argsSizesGet},
		"clock_time_get":      {t(i32, i64, i32), clockTimeGet},
		"environ_get":         {t(i32, i32), environGet},
		"environ_sizes_get":   {t(i32, i32), environSizesGet},
		"fd_close":            {t(i32), fdClose},
		"fd_fdstat_get":       {t(i32, i32), fdFdstatGet},
		"fd_fdstat_set_flags": {t(i32, i32), fdFdstatSetFlags},
		"fd_prestat_dir_name": {t(i32, i32, i32), fdPrestat},
		"fd_prestat_get":      {t(i32, i32), fdPrestat},
		"fd_read":             {t(i32, i32, i32, i32), fdRead},
		"fd_seek":             {t(i32, i64, i32, i32), fdSeek},
		"fd_write":            {t(i32, i32, i32, i32), fdWrite},
		"poll_oneoff":         {t(i32, i32, i32, i32), pollOneoff},
		"random_get":          {t(i32, i32), randomGet},
		"sched_yield":         {nil, schedYield},
	} {
		all[importName{wasiModule, name}] = function{params: f.params, results: t(i32), call: withErrno(f.call)}
	}
	all[importName{wasiModule, "proc_exit"}] = function{params: t(i32), call: procExit}
	return all
})

// instantiateHost makes the contract's functions importable in a runtime.
func instantiateHost(ctx context.Context, rt wazero.Runtime) error {
	builders := map[string]wazero.HostModuleBuilder{
		mythosModule: rt.NewHostModuleBuilder(mythosModule),
		wasiModule:   rt.NewHostModuleBuilder(wasiModule),
	}
	for n, f := range contract() {
		if f.granted {
			continue
		}
		host := func(ctx context.Context, m api.Module, stack []uint64) {
			c := ctx.Value(callKey{}).(*call)
			c.checkDeadline() // a guest may make calls without a loop between them
			var mem memory
			if c.hasMemory {
				mem.Memory = m.Memory()
			}
			f.call(c, mem, stack)
		}
		builders[n.module].NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(host), f.params, f.results).Export(n.name)
	}
	for _, b := range builders {
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// memory is a guest's memory; the zero value is that of a guest without one.
type memory struct{ api.Memory }

// view returns n bytes at off, valid until the guest runs again.
func (m memory) view(off, n uint64) ([]byte, bool) {
	if m.Memory == nil || off > math.MaxUint32 || n > math.MaxUint32 {
		return nil, false
	}
	return m.Read(uint32(off), uint32(n))
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
