package journal

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// HostBoot returns a clock for Options.Boot: the id of this boot and the
// microseconds since it began, suspended time included. Where the host has
// neither, the id is "".
func HostBoot() func() (string, int64) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	id := strings.TrimSpace(string(b))
	return func() (string, int64) {
		var now unix.Timespec
		if err != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
			return "", 0
		}
		return id, now.Nano() / 1000
	}
}
