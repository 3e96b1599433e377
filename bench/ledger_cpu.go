package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc, which Linux fixes at 1/100 s for
// programs.
const clockTick = 10 * time.Millisecond

// cpuUsed is the CPU time that this process and the server have used until now. Of
// a server on another host, or where there is no /proc, nothing is known, and it
// counts as none.
func (b *ledgerBench) cpuUsed() (own, server time.Duration) {
	own = processTime()
	if b.postmaster == 0 {
		return own, 0
	}
	folders, _ := os.ReadDir("/proc")
	for _, f := range folders {
		pid, err := strconv.Atoi(f.Name())
		if err != nil {
			continue
		}
		if s, ok := readStat(pid); ok && (pid == b.postmaster || s.parent == b.postmaster) {
			server += s.used
			if pid == b.postmaster {
				server += s.ended
			}
		}
	}
	return own, server
}

// cpuSince is what was used of both for each of n things since cpuUsed was called,
// in nanoseconds.
func (b *ledgerBench) cpuSince(own, server time.Duration, n int) [2]float64 {
	nowOwn, nowServer := b.cpuUsed()
	return [2]float64{float64(nowOwn-own) / float64(n), float64(nowServer-server) / float64(n)}
}

// cpuColumn shows the medians of CPU times: all of it, and of it the server's.
func (b *ledgerBench) cpuColumn(all [][2]float64) string {
	var both, server []float64
	for _, x := range all {
		both, server = append(both, x[0]+x[1]), append(server, x[1])
	}
	if spreadOf(server).median == 0 {
		return duration(spreadOf(both).median)
	}
	return duration(spreadOf(both).median) + ", server " + duration(spreadOf(server).median)
}

// stat is what /proc says of a process.
type stat struct {
	parent      int
	used, ended time.Duration // its own CPU time, and that of its children that have ended
}

func readStat(pid int) (s stat, ok bool) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return s, false
	}
	_, after, found := strings.Cut(string(raw), ") ") // the name before may hold anything but this
	fields := strings.Fields(after)
	if !found || len(fields) < 15 {
		return s, false
	}
	n := func(i int) time.Duration {
		ticks, _ := strconv.ParseInt(fields[i], 10, 64)
		return time.Duration(ticks) * clockTick
	}
	s.parent, _ = strconv.Atoi(fields[1])
	s.used, s.ended = n(11)+n(12), n(13)+n(14)
	return s, true
}
