package image

import (
	"encoding/json"
	"path"
	"strconv"

	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// config is a runtime's config.json (OCI runtime-spec 1.0.2), as far as it is
// needed. It is written from scratch: what a runtime or an image takes for a
// default has no part in it.
type config struct {
	Version  string  `json:"ociVersion"`
	Process  program `json:"process"`
	Root     root    `json:"root"`
	Hostname string  `json:"hostname"`
	Mounts   []mount `json:"mounts"`
	Linux    linux   `json:"linux"`
}

type program struct {
	Terminal     bool         `json:"terminal"`
	User         user         `json:"user"`
	Args         []string     `json:"args"`
	Env          []string     `json:"env"`
	Cwd          string       `json:"cwd"`
	Capabilities capabilities `json:"capabilities"`
	Rlimits      []rlimit     `json:"rlimits"`
	NoNewPrivs   bool         `json:"noNewPrivileges"`
}

type user struct {
	UID   int `json:"uid"`
	GID   int `json:"gid"`
	Umask int `json:"umask"`
}

type capabilities struct {
	Bounding    []string `json:"bounding"`
	Effective   []string `json:"effective"`
	Inheritable []string `json:"inheritable"`
	Permitted   []string `json:"permitted"`
	Ambient     []string `json:"ambient"`
}

type rlimit struct {
	Type string `json:"type"`
	Hard uint64 `json:"hard"`
	Soft uint64 `json:"soft"`
}

type root struct {
	Path     string `json:"path"`
	Readonly bool   `json:"readonly"`
}

type mount struct {
	Destination string   `json:"destination"`
	Type        string   `json:"type"`
	Source      string   `json:"source"`
	Options     []string `json:"options"`
}

type linux struct {
	UIDMappings   []mapping   `json:"uidMappings"`
	GIDMappings   []mapping   `json:"gidMappings"`
	Namespaces    []namespace `json:"namespaces"`
	Seccomp       *seccomp    `json:"seccomp,omitempty"`
	MaskedPaths   []string    `json:"maskedPaths"`
	ReadonlyPaths []string    `json:"readonlyPaths"`
}

type mapping struct {
	Container int `json:"containerID"`
	Host      int `json:"hostID"`
	Size      int `json:"size"`
}

type namespace struct {
	Type string `json:"type"`
}

// box is what a config.json is written from.
type box struct {
	tool   tool
	entry  []string
	env    []string
	limits sandbox.Limits // zero values as in the sandbox
	groups bool           // a cgroup bounds memory and processes
	mounts []sandbox.Mount
	arch   string
}

// encode writes config.json.
func (b *box) encode() ([]byte, error) {
	id, none := b.tool.inside, []string{}
	c := config{
		Version: "1.0.2", Hostname: "module",
		Root: root{Path: sandbox.WorkDir + "/root", Readonly: true},
		Process: program{
			User: user{id, id, 0o077}, Args: b.entry, Env: b.env, Cwd: "/", NoNewPrivs: true,
			Capabilities: capabilities{none, none, none, none, none}, Rlimits: b.rlimits(),
		},
		Mounts: b.allMounts(),
		Linux: linux{
			UIDMappings: []mapping{{id, 0, 1}}, GIDMappings: []mapping{{id, 0, 1}},
			MaskedPaths:   []string{"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
	for _, n := range []string{"user", "pid", "mount", "network", "ipc", "uts", "cgroup"} {
		c.Linux.Namespaces = append(c.Linux.Namespaces, namespace{n})
	}
	if !b.tool.ownKernel {
		c.Linux.Seccomp = denylist(b.arch)
	}
	return json.Marshal(c)
}

func (b *box) rlimits() []rlimit {
	file := b.limits.FileBytes
	if file == 0 {
		file = 64 << 20
	}
	want := []rlimit{
		{Type: "RLIMIT_CORE"},
		{Type: "RLIMIT_MSGQUEUE"},
		{Type: "RLIMIT_NOFILE", Hard: 256},
		{Type: "RLIMIT_FSIZE", Hard: uint64(file)},
		{Type: "RLIMIT_MEMLOCK", Hard: 64 << 10},
	}
	if !b.groups {
		want = append(want, rlimit{Type: "RLIMIT_DATA", Hard: uint64(max(b.limits.Memory, sandbox.MinMemory))},
			rlimit{Type: "RLIMIT_NPROC", Hard: uint64(b.limits.Pids)})
	}
	for i := range want {
		want[i].Hard = lowered(want[i].Type, want[i].Hard)
		want[i].Soft = want[i].Hard
	}
	return want
}

// allMounts are the sandbox's own, then those of the call.
func (b *box) allMounts() []mount {
	proc := []string{"nosuid", "noexec", "nodev"}
	if !b.tool.ownKernel {
		proc = append(proc, "hidepid=2", "subset=pid")
	}
	list := []mount{
		{"/proc", "proc", "proc", proc},
		{"/dev", "tmpfs", "tmpfs", []string{"nosuid", "noexec", "strictatime", "mode=755", "size=64k", "ro"}},
		{"/tmp", "tmpfs", "tmpfs", []string{"nosuid", "noexec", "nodev", "mode=1777", "size=" + strconv.FormatInt(tmpBytes, 10), "nr_inodes=65536"}},
	}
	for i, m := range b.mounts {
		options := []string{"rbind", "ro", "nosuid", "nodev"}
		if m.Writable {
			options = []string{"rbind", "rw", "nosuid", "nodev", "noexec"}
		}
		list = append(list, mount{m.Target, "bind", path.Join(sandbox.WorkDir, "m", strconv.Itoa(i)), options})
	}
	return list
}

// tmpBytes is what fits into /tmp, which is memory.
const tmpBytes = 64 << 20
