//go:build !linux

package journal

// HostBoot returns a clock whose boot id is "": boots of this system have none,
// so the wall clock alone decides about leases.
func HostBoot() func() (string, int64) {
	return func() (string, int64) { return "", 0 }
}
