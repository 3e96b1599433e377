package sandbox

import (
	"slices"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Feature names something that the kernel does for a sandbox.
type Feature string

// Features, in the order of a report.
const (
	FeatureUser     Feature = "user-namespace"
	FeaturePID      Feature = "pid-namespace"
	FeatureMount    Feature = "mount-namespace"
	FeatureNet      Feature = "network-namespace"
	FeatureIPC      Feature = "ipc-namespace"
	FeatureUTS      Feature = "uts-namespace"
	FeatureCgroup   Feature = "cgroup-namespace"
	FeatureRoot     Feature = "private-root"
	FeatureProc     Feature = "proc"
	FeatureSeccomp  Feature = "seccomp"
	FeatureLandlock Feature = "landlock"
	FeatureKill     Feature = "cgroup-kill"
	FeatureMemory   Feature = "cgroup-memory"
	FeaturePids     Feature = "cgroup-pids"
)

// Status is what probing found about one feature.
type Status struct {
	Name   Feature `json:"name"`
	OK     bool    `json:"ok"`
	Detail string  `json:"detail"`
	Fix    string  `json:"fix,omitempty"` // what to do where it is missing
}

// Report is what a machine enforces.
type Report struct {
	Level      uint8     `json:"level"`
	Name       string    `json:"name"`       // none, landlock, userns, full
	Mode       string    `json:"mode"`       // required, best-effort, none
	Privileged bool      `json:"privileged"` // modules run as a host user of their own
	Probed     time.Time `json:"probed_at"`
	Features   []Status  `json:"features"`
}

// namespaces are the features that one clone call gives, with their
// short names and the flags of Linux.
var namespaces = []struct {
	feature Feature
	short   string
	flag    uintptr
}{
	{FeatureUser, "user", 0x10000000},
	{FeaturePID, "pid", 0x20000000},
	{FeatureMount, "mnt", 0x00020000},
	{FeatureNet, "net", 0x40000000},
	{FeatureIPC, "ipc", 0x08000000},
	{FeatureUTS, "uts", 0x04000000},
	{FeatureCgroup, "cgroup", 0x02000000},
}

// needed lists what each level stands on, beside the levels' common ground.
var (
	needLandlock   = []Feature{FeatureSeccomp, FeatureLandlock}
	needNamespaces = []Feature{FeatureUser, FeaturePID, FeatureMount, FeatureNet, FeatureIPC, FeatureUTS, FeatureCgroup, FeatureRoot, FeatureSeccomp}
	needFull       = []Feature{FeatureLandlock, FeatureKill, FeatureMemory, FeaturePids}
)

// fixes says what to do about a missing feature.
var fixes = map[Feature]string{
	FeatureUser:     "allow unprivileged user namespaces (an AppArmor profile with `userns,` for this binary; sysctl user.max_user_namespaces; in a container a seccomp profile that lets clone through), or run as root",
	FeaturePID:      "use a kernel with CONFIG_PID_NS, and raise sysctl user.max_pid_namespaces",
	FeatureMount:    "raise sysctl user.max_mnt_namespaces",
	FeatureNet:      "use a kernel with CONFIG_NET_NS, and raise sysctl user.max_net_namespaces",
	FeatureIPC:      "use a kernel with CONFIG_IPC_NS, and raise sysctl user.max_ipc_namespaces",
	FeatureUTS:      "use a kernel with CONFIG_UTS_NS, and raise sysctl user.max_uts_namespaces",
	FeatureCgroup:   "use a kernel with CONFIG_CGROUPS, and raise sysctl user.max_cgroup_namespaces",
	FeatureRoot:     "use Linux 5.12 or later, and let mount, open_tree and pivot_root through where a container's seccomp profile stops them",
	FeatureProc:     "modules run without /proc; to have it, run outside a container or with its /proc unmasked",
	FeatureSeccomp:  "use a kernel with CONFIG_SECCOMP_FILTER on amd64 or arm64",
	FeatureLandlock: "use a kernel with CONFIG_SECURITY_LANDLOCK and boot with landlock in the lsm= list",
	FeatureKill:     "use Linux 5.14 or later with a cgroup2 mount that this user may write to (systemd: Delegate=yes)",
	FeatureMemory:   "delegate the memory controller to this user (systemd: Delegate=yes), or run as root",
	FeaturePids:     "delegate the pids controller to this user (systemd: Delegate=yes), or run as root",
}

// findings collects what probing finds.
type findings map[Feature]Status

func (f findings) ok(x Feature) bool { return f[x].OK }

func (f findings) all(xs []Feature) bool {
	return !slices.ContainsFunc(xs, func(x Feature) bool { return !f.ok(x) })
}

func (f findings) pass(x Feature, detail string) { f[x] = Status{Name: x, OK: true, Detail: detail} }

func (f findings) fail(x Feature, detail string) {
	f[x] = Status{Name: x, Detail: detail, Fix: fixes[x]}
}

// notTried begins the detail of a feature that nothing is known about.
const notTried = "not tried: "

// settle takes back what was never shown, because something that it stands on is
// missing.
func (f findings) settle() {
	i := slices.IndexFunc(needNamespaces, func(x Feature) bool { return !f.ok(x) })
	if i < 0 {
		return
	}
	why := notTried + string(needNamespaces[i]) + " is missing"
	for _, n := range namespaces {
		if f.ok(n.feature) {
			f.fail(n.feature, why)
		}
	}
	for _, x := range []Feature{FeatureRoot, FeatureProc} {
		if f.ok(x) {
			f.fail(x, why)
		}
	}
}

// level derives the level from what works.
func (f findings) level() uint8 {
	switch {
	case f.all(needNamespaces) && f.all(needFull):
		return LevelFull
	case f.all(needNamespaces):
		return LevelNamespaces
	case f.all(needLandlock):
		return LevelLandlock
	}
	return LevelNone
}

func levelName(level uint8) string {
	return [...]string{"none", "landlock", "userns", "full"}[level]
}

// report orders the findings.
func (f findings) report(m Mode, privileged bool) Report {
	r := Report{Level: f.level(), Mode: m.String(), Privileged: privileged, Features: []Status{}}
	if m == None {
		r.Level = LevelNone
	}
	r.Name = levelName(r.Level)
	order := []Feature{
		FeatureUser, FeaturePID, FeatureMount, FeatureNet, FeatureIPC, FeatureUTS, FeatureCgroup,
		FeatureRoot, FeatureProc, FeatureSeccomp, FeatureLandlock, FeatureKill, FeatureMemory, FeaturePids,
	}
	for _, x := range order {
		if s, ok := f[x]; ok {
			r.Features = append(r.Features, s)
		}
	}
	return r
}

// find returns what r says about x.
func (r Report) find(x Feature) Status {
	for _, s := range r.Features {
		if s.Name == x {
			return s
		}
	}
	return Status{Name: x, Detail: "not probed", Fix: fixes[x]}
}

// String returns one line, such as
//
//	sandbox: level=full ns=user,pid,mnt,net,ipc,uts,cgroup proc=subset landlock=abi7 seccomp=denylist-v1 cgroup=hybrid(memory,pids=v1 kill=v2)
func (r Report) String() string {
	line := "sandbox: level=" + r.Name
	if len(r.Features) == 0 {
		return line + " mode=" + r.Mode
	}
	var ns []string
	for _, n := range namespaces {
		if r.find(n.feature).OK {
			ns = append(ns, n.short)
		}
	}
	line += " ns=" + word(strings.Join(ns, ","), len(ns) > 0)
	for _, x := range []struct {
		name    string
		feature Feature
	}{{"proc", FeatureProc}, {"landlock", FeatureLandlock}, {"seccomp", FeatureSeccomp}, {"cgroup", FeatureMemory}} {
		s := r.find(x.feature)
		line += " " + x.name + "=" + word(s.Detail, s.OK)
	}
	return line
}

func word(s string, ok bool) string {
	if ok {
		return s
	}
	return "none"
}

// missing lists what keeps a machine below level 2.
func (r Report) missing() []Status {
	var out []Status
	for _, x := range needNamespaces {
		if s := r.find(x); !s.OK && !strings.HasPrefix(s.Detail, notTried) {
			out = append(out, s)
		}
	}
	return out
}

// admit is the refusal of RFC-MYTHOS-0006 §12: below level 2 nothing runs unless
// somebody wrote that it may.
func (r Report) admit(m Mode) error {
	if m != Required || r.Level >= LevelNamespaces {
		return nil
	}
	var what, how []string
	for _, s := range r.missing() {
		what = append(what, string(s.Name)+" ("+s.Detail+")")
		if !slices.Contains(how, s.Fix) {
			how = append(how, s.Fix)
		}
	}
	return fault.New(ErrUnavailable, "level=%s < required=userns; missing: %s; fix: %s | set sandbox: best-effort (fork bombs and daemons will not be contained)",
		r.Name, strings.Join(what, ", "), strings.Join(how, " | "))
}
