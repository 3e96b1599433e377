// Package sandbox runs one hostile program so that it can compute, speak over
// its pipes and do nothing else (RFC-MYTHOS-0006 §12). It needs no helper
// program: the executor's own binary is started again as a shim, which locks
// itself in and then becomes the module. The same code serves root and an
// unprivileged user. Order is what makes it safe; it is this:
//
//	host  1. make the module's cgroup, with its limits
//	      2. privileged: detach a read-only copy of every mount's source
//	      3. start the shim in new user, pid, mount, network, ipc, uts and cgroup
//	         namespaces, inside the cgroup from its first instruction, with one
//	         mapped id and two capabilities, from a thread whose death kills it
//	      4. send the configuration; the shim waits for it
//	shim  5. a private mount tree: a memory file system becomes the root
//	         (pivot_root), with four devices, /proc (its own processes only, where
//	         the kernel lets it be mounted) and a bounded /tmp without execution
//	      6. host name; a parked shim waits here
//	      7. mounts; the old root detached; the new one read-only
//	      8. resource limits
//	      9. every capability dropped, securebits locked
//	     10. no_new_privs, death signal again, not dumpable
//	     11. Landlock
//	     12. descriptors: 0, 1, 2 and those given; the rest closes at exec
//	     13. seccomp: foreign ABIs die; mounts, namespaces, tracing, bpf, keys,
//	         io_uring and their like are refused; sockets are AF_UNIX only
//	     14. without a cgroup: RLIMIT_DATA, which the shim would not fit below; exec
//
// A step that fails ends the shim with status 125 and "FATAL step=NAME: errno"
// on the configuration channel, which becomes Exit.Setup: nothing is ever
// skipped.
//
// What the levels enforce:
//
//	3 full       all of the above, memory and processes bounded together
//	2 userns     all but the cgroup: memory is bounded per process (RLIMIT_DATA)
//	             and processes by RLIMIT_NPROC; killing is by the pid namespace
//	1 landlock   no namespaces: files and abstract sockets by Landlock, system
//	             calls by seccomp, memory per process; no bound on processes, and
//	             a process that leaves its group outlives a kill
//	0 none       environment, descriptors, death signal, process group
//
// What a machine enforces is found by running a canary through the very same
// code, which tries what a module must not be able to do.
package sandbox

import (
	"os"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Error codes of this package.
const (
	ErrUnavailable fault.Code = "sandbox_unavailable"  // this machine cannot give the sandbox that is required
	ErrSetup       fault.Code = "sandbox_setup"        // a step before the module's first instruction failed
	ErrSpec        fault.Code = "sandbox_spec_invalid" // a Spec that no sandbox can be built from
)

// Levels of a sandbox, the numbers of RFC-MYTHOS-0006 §12.
const (
	LevelNone       uint8 = 0
	LevelLandlock   uint8 = 1
	LevelNamespaces uint8 = 2
	LevelFull       uint8 = 3
)

// Mode says what happens on a machine that cannot enforce level 2.
type Mode uint8

// Modes. The zero value refuses.
const (
	Required   Mode = iota // nothing starts below level 2
	BestEffort             // modules run at the level there is; the report says which
	None                   // modules run without a sandbox; nothing is probed
)

// String returns the mode as a configuration file spells it.
func (m Mode) String() string {
	switch m {
	case BestEffort:
		return "best-effort"
	case None:
		return "none"
	}
	return "required"
}

// Options configures Open.
type Options struct {
	Mode    Mode             // zero: Required
	Now     func() time.Time // the clock of Report.Probed; nil: time.Now
	Disable []Feature        // behave as if the machine lacked these
}

func (o Options) probed() time.Time {
	if o.Now == nil {
		o.Now = time.Now
	}
	return o.Now().UTC().Truncate(time.Second)
}

// Limits bounds one sandbox. Zero means what is in brackets.
type Limits struct {
	// Memory in bytes: what the cgroup may use, swap included; without a cgroup
	// RLIMIT_DATA of each process (64 MiB). Less than MinMemory counts as that.
	Memory    int64
	Pids      int    // processes and threads, at least MinPids (64)
	TmpBytes  int64  // bytes in /tmp, which is memory (64 MiB)
	FileBytes int64  // bytes of the largest file that a module may write (64 MiB)
	CPU       uint64 // seconds of processor time of each process (0: no limit)
	NoFile    uint64 // descriptors of each process (256)
}

// Smallest limits: the shim itself runs under them until it becomes the module.
const (
	MinMemory = 32 << 20
	MinPids   = 16
)

// Mount shows a host file or folder inside. One of Source and File is set.
type Mount struct {
	Source string // absolute host path
	Target string // absolute path inside; folders on the way are made
	// Writable: the module may write, and nothing there can be executed. A
	// privileged host maps the module's user to the owner of Source. False:
	// read-only; a privileged host's module reads as a user who owns nothing,
	// so what it shall read must be readable by others.
	Writable bool
	// File is a detached mount (open_tree) instead of Source. Only a privileged
	// host can make one; below level 2 it is refused.
	File *os.File
}

// Socket shows a listening unix socket of the host at a path inside. A socket
// file must let others write (mode 0666) for a privileged host's module.
type Socket struct {
	Source string // absolute host path of the bound socket
	Target string // absolute path inside
}

// Spec describes one process to run.
type Spec struct {
	Argv    []string // program and arguments, no shell; Argv[0] is an absolute path inside unless Exec is set
	Env     []string // the whole environment, KEY=VALUE
	Dir     string   // absolute working folder inside; "" is /
	Exec    *os.File // a sealed memfd to execute instead of Argv[0]
	Mounts  []Mount
	Files   []*os.File // descriptors 3, 4, ... of the module; they stay the caller's to close
	Limits  Limits
	Sockets []Socket
}

// Exit tells how a process ended.
type Exit struct {
	Code   int   // exit code; -1 if a signal ended it
	Signal int   // the signal that ended it, or 0
	OOM    bool  // the memory limit killed a process of the tree
	Setup  error // not nil: a step before exec failed, nothing of the module ran
}
