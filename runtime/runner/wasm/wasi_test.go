package wasm

import (
	"testing"
)

// wasiFn is an import of WASI from its i32 and i64 parameters.
func wasiFn(name, params string) fn {
	return fn{module: wasiModule, name: name, params: params, results: vI32}
}

// c64 is i64.const of a small value.
func c64(v int32) []byte {
	b := c32(v)
	b[0] = 0x42
	return b
}

func load32(at int32) []byte { return join(c32(at), opI32Load, 2, 0) }

func TestArgsAndEnvironment(t *testing.T) {
	const argsGetFn, argsSizesFn, envGetFn, envSizesFn = fnNext, fnNext + 1, fnNext + 2, fnNext + 3
	got := words(t, []fn{
		wasiFn("args_get", vI32+vI32), wasiFn("args_sizes_get", vI32+vI32),
		wasiFn("environ_get", vI32+vI32), wasiFn("environ_sizes_get", vI32+vI32),
	}, "q", 12,
		result(0, callFn(argsSizesFn, 256, 260)),
		result(1, load32(256)),
		result(2, load32(260)),
		result(3, callFn(argsGetFn, 264, 300)),
		result(4, load32(264)),
		result(5, load32(300)),
		result(6, callFn(envGetFn, 256, 260)),
		result(7, callFn(envSizesFn, 256, 260)),
		result(8, load32(256)),
		result(9, load32(260)),
		result(10, callFn(argsGetFn, -4, 300)),
		result(11, callFn(argsSizesFn, 256, -1)),
	)
	const modu = 'm' | 'o'<<8 | 'd'<<16 | 'u'<<24
	equal(t, got, 0, 1, 7, 0, 300, modu, 0, 0, 0, 0, uint32(wasiFault), uint32(wasiFault))
}

func TestFileDescriptors(t *testing.T) {
	const closeFn, statFn, flagsFn, preFn, dirFn, seekFn = fnNext, fnNext + 1, fnNext + 2, fnNext + 3, fnNext + 4, fnNext + 5
	iov := join(store32(iovAt, dataAt), store32(iovAt+4, 4))
	seek := func(fd int32) []byte { return join(c32(fd), c64(0), c32(0), c32(256), opCall, seekFn) }
	got := words(t, []fn{
		wasiFn("fd_close", vI32), wasiFn("fd_fdstat_get", vI32+vI32), wasiFn("fd_fdstat_set_flags", vI32+vI32),
		wasiFn("fd_prestat_get", vI32+vI32), wasiFn("fd_prestat_dir_name", vI32+vI32+vI32),
		wasiFn("fd_seek", vI32+vI64+vI32+vI32),
	}, "q", 19,
		iov,
		result(0, callFn(statFn, 0, 256)),
		result(1, load32(264)),
		result(2, callFn(statFn, 2, 256)),
		result(3, load32(264)),
		result(4, callFn(statFn, 3, 256)),
		result(5, callFn(flagsFn, 1, 4)),
		result(6, callFn(flagsFn, 3, 4)),
		result(7, callFn(preFn, 3, 256)),
		result(8, callFn(dirFn, 3, 256, 8)),
		result(9, seek(1)),
		result(10, seek(3)),
		result(11, callFn(fnFdWrite, 1, iovAt, 1, sizeAt)), // dropped with this abi
		result(12, load32(sizeAt)),
		result(13, callFn(fnFdRead, 0, iovAt, 1, sizeAt)), // empty with this abi
		result(14, load32(sizeAt)),
		result(15, callFn(fnFdWrite, 0, iovAt, 1, sizeAt)),
		result(16, callFn(closeFn, 1)),
		result(17, callFn(closeFn, 1)),
		result(18, callFn(fnFdWrite, 1, iovAt, 1, sizeAt)),
	)
	badf := uint32(wasiBadf)
	equal(t, got, 0, rightRead|rightPoll, 0, rightWrite|rightPoll, badf, 0, badf, badf, badf,
		uint32(wasiSpipe), badf, 0, 4, 0, 0, badf, 0, badf, badf)
}

func TestVectorsAreBounded(t *testing.T) {
	got := words(t, nil, "q", 5,
		store32(iovAt, -8), store32(iovAt+4, 16),
		result(0, callFn(fnFdWrite, 2, iovAt, 1, sizeAt)),
		result(1, callFn(fnFdWrite, 2, iovAt, maxVectors+1, sizeAt)),
		result(2, callFn(fnFdWrite, 2, -8, 2, sizeAt)),
		result(3, callFn(fnFdWrite, 2, iovAt, 0, sizeAt)),
		result(4, callFn(fnRandom, -4, 8)),
	)
	equal(t, got, uint32(wasiFault), uint32(wasiInval), uint32(wasiFault), 0, uint32(wasiFault))
}

// TestClock: virtual time starts at 1 ms and moves only by what poll_oneoff is
// asked to wait.
func TestClock(t *testing.T) {
	const clockFn, pollFn, yieldFn = fnNext, fnNext + 1, fnNext + 2
	const in, out, ready, now = 256, 512, 768, 776
	clock := func(id int32) []byte { return join(c32(id), c64(0), c32(now), opCall, clockFn) }
	wait := func(at, ns, flags int32) []byte { // a clock subscription
		return join(store32(at, 77), store32(at+8, 0), store32(at+16, 1), store32(at+24, ns), store32(at+40, flags))
	}
	poll := func(n int32) []byte { return callFn(pollFn, in, out, n, ready) }
	got := words(t, []fn{
		wasiFn("clock_time_get", vI32+vI64+vI32), wasiFn("poll_oneoff", vI32+vI32+vI32+vI32), wasiFn("sched_yield", ""),
	}, "q", 18,
		result(0, clock(0)), result(1, load32(now)),
		result(2, clock(4)),
		callFn(yieldFn), []byte{opDrop},
		wait(in, 500, 0), wait(in+48, 300, 0),
		result(3, poll(2)), result(4, load32(ready)), result(5, load32(out)),
		result(6, clock(1)), result(7, load32(now)), // the earlier of the two
		wait(in, clockStart+1000, 1),
		result(8, poll(1)), clock(0), []byte{opDrop}, result(9, load32(now)),
		wait(in, 1, 1), // long past: time does not go back
		result(10, poll(1)), clock(0), []byte{opDrop}, result(11, load32(now)),
		wait(in, 900, 0), store32(in+48+8, eventWrite), store32(in+48+16, 1), // fd 1 is ready: no waiting
		result(12, poll(2)), result(13, load32(ready)), result(14, load32(out+8)),
		clock(0), []byte{opDrop}, result(15, load32(now)),
		result(16, poll(0)), result(17, poll(maxVectors+1)),
	)
	equal(t, got, 0, clockStart, uint32(wasiInval),
		0, 1, 77, 0, clockStart+300,
		0, clockStart+1000,
		0, clockStart+1000,
		0, 1, eventWrite<<16, clockStart+1000,
		uint32(wasiInval), uint32(wasiInval))
}
