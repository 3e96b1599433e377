package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// probe finds the strongest plan whose canary comes through. A canary that is
// stopped names its step; the feature behind that step is given up and the next
// one tries without. Each round gives up one at least, so it ends.
func (h *Host) probe(ctx context.Context, disabled []Feature) error {
	if h.mode == None {
		h.report = findings{}.report(None, false)
		return nil
	}
	b := &bench{h: h, found: findings{}, disabled: disabled}
	if err := b.open(); err != nil {
		return err
	}
	defer b.close()
	b.static()
	for range 12 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if b.round(ctx) {
			break
		}
	}
	b.groups(ctx)
	h.plan = b.plan()
	b.found.settle()
	h.report = b.found.report(h.mode, h.plan.privileged)
	return nil
}

// bench is what canaries are tried with.
type bench struct {
	h        *Host
	found    findings
	disabled []Feature

	image    *os.File // what a canary executes in the end
	abstract int      // listening abstract socket
	name     string
	self     string // a file of the host

	privileged bool
	hostID     uint32
	why        string // why not privileged
}

func (b *bench) open() error {
	var err error
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	image := canaryImage()
	if image == nil {
		image = []byte("no code for this architecture")
	}
	if b.image, err = sealedFile("mythos-canary", image); err != nil {
		return err
	}
	b.name = "mythos-canary-" + rand.Text()
	if b.abstract, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return errors.Join(err, b.image.Close())
	}
	err = unix.Bind(b.abstract, &unix.SockaddrUnix{Name: "@" + b.name})
	if err == nil {
		err = unix.Listen(b.abstract, 4)
	}
	if err != nil {
		b.close()
	}
	return err
}

func (b *bench) close() {
	_ = b.image.Close()
	_ = unix.Close(b.abstract)
}

// static gives up what is disabled or plainly not there, and takes the rest on
// trust until a canary says otherwise.
func (b *bench) static() {
	for _, n := range namespaces {
		b.found.pass(n.feature, "clone")
	}
	b.found.pass(FeatureRoot, "pivot_root")
	b.found.pass(FeatureProc, "subset")
	b.found.pass(FeatureSeccomp, "denylist-v1")
	if auditArch == 0 {
		b.found.fail(FeatureSeccomp, "no table of system calls for this architecture")
	}
	if abi, err := landlockVersion(); err != nil {
		b.found.fail(FeatureLandlock, "landlock_create_ruleset: "+errnoName(err))
	} else {
		b.found.pass(FeatureLandlock, "abi"+strconv.Itoa(abi))
	}
	for _, x := range b.disabled {
		b.found.fail(x, "disabled by configuration")
	}
	b.privilege()
}

// privilege finds out whether mounts can be detached here: being user 0 says
// nothing, in a container for one.
func (b *bench) privilege() {
	if os.Geteuid() != 0 {
		b.why = "not user 0"
		return
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		b.why = "open_tree: " + errnoName(err)
		return
	}
	_ = unix.Close(fd)
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		b.why = err.Error()
		return
	}
	b.hostID, b.privileged = pickID(string(ids))
}

// plan is what the findings so far allow.
func (b *bench) plan() plan {
	p := plan{
		namespaces: b.found.all(needNamespaces), proc: b.found.ok(FeatureProc),
		landlock: b.found.ok(FeatureLandlock), seccomp: b.found.ok(FeatureSeccomp),
		privileged: b.privileged, hostID: b.hostID,
	}
	p.cgroup = p.namespaces && b.found.all([]Feature{FeatureKill, FeatureMemory, FeaturePids})
	return p
}

// stepFeature names what a failed step of the shim means.
func stepFeature(step string) (Feature, bool) {
	for _, s := range []struct {
		prefix  string
		feature Feature
	}{
		{"proc", FeatureProc},
		{"landlock", FeatureLandlock},
		{"seccomp", FeatureSeccomp},
		{"sethostname", FeatureUTS},
		{"setdomainname", FeatureUTS},
		{"ambient", FeatureUser},
		{"capbset", FeatureUser},
		{"securebits", FeatureUser},
		{"capset", FeatureUser},
		{"mount", FeatureRoot},
		{"chdir-root", FeatureRoot},
		{"mkdir", FeatureRoot},
		{"pivot_root", FeatureRoot},
		{"open", FeatureRoot},
		{"attach", FeatureRoot},
		{"tmp", FeatureRoot},
		{"umount", FeatureRoot},
		{"rmdir", FeatureRoot},
		{"root", FeatureRoot},
	} {
		if strings.HasPrefix(step, s.prefix) {
			return s.feature, true
		}
	}
	return "", false
}

// round runs one canary and reports whether it came through.
func (b *bench) round(ctx context.Context) bool {
	plan := b.plan()
	b.h.plan = plan
	if !plan.namespaces && !plan.seccomp && !plan.landlock {
		return true
	}
	p, err := b.h.launch(ctx, plan, mustLimits(), true, b.canary(plan))
	if err != nil {
		return b.refused(plan, err)
	}
	err = p.awaitParked(ctx)
	if err == nil {
		if plan.namespaces {
			b.inspect(p.pid)
		}
		err = p.run(ctx, b.spec(), map[string]bool{hiddenFile: true})
	}
	exit := p.Wait()
	if err := p.Close(); err != nil {
		b.giveUp(plan, "close: "+err.Error())
		return false
	}
	return b.judge(plan, p, exit, err)
}

const hiddenFile = "/canary"

func (b *bench) canary(plan plan) *canary {
	c := &canary{Host: os.Getpid(), HostFile: b.self, Abstract: b.name, Hidden: hiddenFile}
	if !plan.namespaces {
		c.Hidden = b.self
	}
	return c
}

// spec has one mount, the executor's own binary, which no Landlock rule covers.
func (b *bench) spec() Spec {
	return Spec{Argv: []string{"canary"}, Exec: b.image, Mounts: []Mount{{Source: b.self, Target: hiddenFile}}}
}

func mustLimits() Limits {
	l, _ := Limits{}.filled() // defaults are valid
	return l
}

// refused reads an error from before the shim ran.
func (b *bench) refused(plan plan, err error) bool {
	if plan.privileged {
		// User 0 that may not map or become another id: try as any user.
		b.privileged, b.why = false, err.Error()
		return false
	}
	if plan.namespaces {
		b.blameClone(err)
		return false
	}
	b.giveUp(plan, err.Error())
	return false
}

// blameClone finds the namespaces that cannot be made: each is tried with a user
// namespace alone. If that is not to be had, the others are not to blame.
func (b *bench) blameClone(why error) {
	try := func(flags uintptr) error {
		sys := plan{namespaces: true, privileged: b.privileged, hostID: b.hostID}.attributes(nil)
		sys.Cloneflags = unix.CLONE_NEWUSER | flags
		return b.h.fleeting(sys, func(int) error { return nil })
	}
	if err := try(0); err != nil {
		b.found.fail(FeatureUser, "clone: "+errnoName(err))
		return
	}
	blamed := false
	for _, n := range namespaces[1:] {
		if err := try(n.flag); err != nil {
			b.found.fail(n.feature, "clone: "+errnoName(err))
			blamed = true
		}
	}
	if !blamed {
		b.found.fail(FeatureUser, why.Error())
	}
}

// judge reads how a canary ended.
func (b *bench) judge(plan plan, p *Process, exit Exit, err error) bool {
	if exit.Setup != nil || err != nil {
		step, detail := failedStep(p.note.fatal)
		if x, ok := stepFeature(step); ok && b.found.ok(x) {
			b.found.fail(x, step+": "+detail)
			return false
		}
		b.giveUp(plan, errors.Join(exit.Setup, err).Error())
		return false
	}
	seen := map[Feature]string{}
	if e := json.Unmarshal(p.note.seen, &seen); e != nil {
		b.giveUp(plan, fmt.Sprintf("canary said nothing: status %d, signal %d, out of memory %t", exit.Code, exit.Signal, exit.OOM))
		return false
	}
	good := true
	for x, wrong := range seen {
		if wrong != "" && b.found.ok(x) {
			b.found.fail(x, wrong)
			good = false
		}
	}
	if exit.Code != exitCanary && good {
		b.giveUp(plan, fmt.Sprintf("canary ended with status %d, signal %d", exit.Code, exit.Signal))
		return false
	}
	return good
}

// failedStep splits a FATAL line.
func failedStep(line string) (step, detail string) {
	_, rest, _ := strings.Cut(line, "step=")
	step, detail, _ = strings.Cut(rest, ": ")
	return step, detail
}

// giveUp drops one layer for a reason that names no feature.
func (b *bench) giveUp(plan plan, why string) {
	switch {
	case plan.namespaces:
		b.found.fail(FeatureRoot, why)
	case plan.landlock:
		b.found.fail(FeatureLandlock, why)
	default:
		b.found.fail(FeatureSeccomp, why)
	}
}

// inspect compares the namespaces of a parked canary with our own, as the kernel
// tells them. Where it does not tell, what the canary tried must do.
func (b *bench) inspect(pid int) {
	for _, n := range namespaces {
		ours, err1 := os.Readlink("/proc/self/ns/" + n.short)
		theirs, err2 := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "ns", n.short))
		if err1 == nil && err2 == nil && ours == theirs {
			b.found.fail(n.feature, "the canary is in "+ours+" as we are")
		}
	}
}

// groups finds out whether cgroups bound and kill, by killing a canary with one.
func (b *bench) groups(ctx context.Context) {
	kinds := []Feature{FeatureKill, FeatureMemory, FeaturePids}
	fail := func(detail string) {
		for _, x := range kinds {
			if !slices.Contains(b.disabled, x) {
				b.found.fail(x, detail)
			}
		}
	}
	if !b.found.all(needNamespaces) {
		fail(notTried + "namespaces are missing")
		return
	}
	h, err := openCgroups()
	if err != nil {
		fail(err.Error())
		return
	}
	b.h.groups = h
	if err := b.tryGroup(ctx); err != nil {
		fail(err.Error())
		return
	}
	for _, x := range kinds {
		if !slices.Contains(b.disabled, x) {
			b.found.pass(x, h.detail())
		}
	}
}

// tryGroup parks a canary in a group, sees that it is in there, and kills it
// through the group alone.
func (b *bench) tryGroup(ctx context.Context) error {
	plan := b.plan()
	plan.cgroup = true
	p, err := b.h.launch(ctx, plan, mustLimits(), true, nil)
	if err != nil {
		return err
	}
	err = p.awaitParked(ctx)
	if err == nil {
		err = p.group.holds(p.pid)
	}
	if err == nil {
		err = p.group.kill()
	}
	if err == nil {
		err = p.awaitKilled(ctx)
	}
	return errors.Join(err, p.Close())
}

// openCgroups finds this process's groups and clears up after dead executors.
func openCgroups() (*hierarchy, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	var ns unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &ns); err != nil {
		return nil, err
	}
	namespace := strconv.FormatUint(ns.Ino, 10)
	h := findCgroups(string(mounts), string(self), "mythos-"+namespace+"-"+strconv.Itoa(os.Getpid())+"-"+rand.Text()[:8])
	switch {
	case h.unified == "":
		return nil, errors.New("no cgroup2 mount")
	case h.memory == "" || h.pids == "":
		return nil, errors.New("no memory or pids controller")
	}
	if err := h.delegate(os.Getpid()); err != nil {
		return nil, err
	}
	h.sweep(namespace, func(pid int) bool { return unix.Kill(pid, 0) != unix.ESRCH })
	return h, nil
}

func errnoName(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}
