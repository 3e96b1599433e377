//go:build linux && !amd64 && !arm64

package sandbox

// No table of system calls for this architecture: FeatureSeccomp is missing, and
// with it every level above 0.
const (
	auditArch = 0
	x32Bit    = 0
)

var denied []uint32
