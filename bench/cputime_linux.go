package main

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// cpuClock names the clock of cpuTime.
const cpuClock = "CPU time of the thread"

// cpuTime is the CPU time that op takes on its thread: what other programs do on
// the machine then counts only by the caches they take.
func cpuTime(op func() error) (time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var from, to unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &from); err != nil {
		return 0, err
	}
	if err := op(); err != nil {
		return 0, err
	}
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &to)
	return time.Duration(to.Nano() - from.Nano()), err
}

// processTime is the CPU time that this process has used.
func processTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
