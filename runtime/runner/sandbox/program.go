package sandbox

import (
	"os"
	"strconv"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Program is a program of this machine that makes a sandbox of its own: an OCI
// runtime. It is trusted, what it runs is not. It runs as user 0 of a new user
// namespace, which the host knows as the user of modules, in new pid and mount
// namespaces and in a cgroup: whatever it leaves (processes, mounts, its own
// records) ends with it, and it ends with the host.
//
// Its working folder is WorkDir, a memory file system of its own:
//
//	config.json   Config
//	root          Root, read-only; with Points a read-only overlay
//	m/0, m/1 ...  Mounts
//	state         an empty folder
type Program struct {
	Path   string   // absolute
	Argv   []string // the whole command line
	Env    []string // the whole environment
	Config []byte   // at most MaxProgramConfig bytes
	Root   Mount    // Target is not used
	Points []Point  // what Root may lack and must have to be mounted on; all or none
	Mounts []Mount  // Target is not used: Config says where they go
	// HideCgroups shows the program an empty folder instead of cgroup file
	// systems, so that it stumbles over none.
	HideCgroups bool
	Files       []*os.File // descriptors 3, 4, ... of the program; they stay the caller's to close
	Log         *os.File   // the descriptor after Files, at ProgramLog; a memory file
	// Ended says what the program's end means for the module. It is called once, if
	// Launch succeeds; nil: what it says.
	Ended  func(Exit) Exit
	Limits Limits // of program and module together; FileBytes, CPU and NoFile are not used
}

// Point is a path that Root shall have: a folder or an empty file. It hides a
// link or file that Root has on the way.
type Point struct {
	Path string // absolute and clean
	Dir  bool
}

// MaxProgramConfig bounds Program.Config, in bytes.
const MaxProgramConfig = 1 << 20

// WorkDir is the working folder of programs. It hides what the host has there.
const WorkDir = "/mnt"

// ProgramLog is the path of Program.Log beside so many files.
func ProgramLog(files int) string { return "/proc/self/fd/" + strconv.Itoa(channelBase+files) }

// CanaryStatus is with what CanaryProgram ends if it was denied an internet socket,
// as every module is; else it ends with status 1.
const CanaryStatus = 42

// channelBase is the first descriptor that is neither stdin, stdout nor stderr.
const channelBase = 3

func (p *Program) check() error {
	switch {
	case !clean(p.Path) || len(p.Argv) == 0 || p.Log == nil:
		return fault.New(ErrSpec, "a program needs an absolute path, a command line and a log")
	case len(p.Config) > MaxProgramConfig:
		return fault.New(ErrSpec, "a configuration of %d bytes, at most %d", len(p.Config), MaxProgramConfig)
	case len(p.Mounts)+len(p.Points) > maxMounts || len(p.Files) > maxFiles:
		return fault.New(ErrSpec, "%d mounts and points and %d descriptors, at most %d and %d", len(p.Mounts)+len(p.Points), len(p.Files), maxMounts, maxFiles)
	}
	for _, m := range append([]Mount{p.Root}, p.Mounts...) {
		if m.File == nil && !clean(m.Source) || m.File != nil && m.Source != "" {
			return fault.New(ErrSpec, "want one of an absolute source and a detached mount, got %q", m.Source)
		}
	}
	for _, x := range p.Points {
		if !clean(x.Path) {
			return fault.New(ErrSpec, "mount point %q is not a clean absolute path", x.Path)
		}
	}
	return nil
}
