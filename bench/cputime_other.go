//go:build !linux

package main

import "time"

// cpuClock names the clock of cpuTime.
const cpuClock = "elapsed time"

// cpuTime is the time that op takes, for want of a thread's own.
func cpuTime(op func() error) (time.Duration, error) {
	start := time.Now()
	err := op()
	return time.Since(start), err
}

var processStart = time.Now()

// processTime is the time that this process has lasted, for want of its CPU time.
func processTime() time.Duration { return time.Since(processStart) }
