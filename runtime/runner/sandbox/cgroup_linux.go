package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy says where this machine's cgroups of modules are made, and how.
//
// On a hybrid machine memory and pids are version 1 controllers, and version 2
// has the folder that can be killed at once. A version 1 group is joined before
// the process is there: the spawner's thread enters it (a single thread writing
// "0" to tasks takes no lock), the child is born in it, and the thread goes
// home. Writing the child's number to cgroup.procs instead would wait for an RCU
// grace period, some 10 ms.
type hierarchy struct {
	unified      string // version 2 folder that gets children; "" none
	memory, pids string // version 1 folders, or unified again when it has the controllers
	pure         bool   // memory and pids are version 2
	prefix       string // of the name of every child that this hierarchy makes; no other has it
	next         atomic.Int64
	mkdir        func(string) error
}

// detail names the kinds as a report does.
func (h *hierarchy) detail() string {
	if h.pure {
		return "v2(memory,pids,kill)"
	}
	return "hybrid(memory,pids=v1 kill=v2)"
}

// cgroupMount is one line of mountinfo that is a cgroup file system.
type cgroupMount struct {
	root, point string
	v2          bool
	controllers []string
}

func cgroupMounts(mountinfo string) []cgroupMount {
	var out []cgroupMount
	lines := bufio.NewScanner(strings.NewReader(mountinfo))
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		switch g[0] {
		case "cgroup2":
			out = append(out, cgroupMount{root: f[3], point: f[4], v2: true})
		case "cgroup":
			out = append(out, cgroupMount{root: f[3], point: f[4], controllers: strings.Split(g[2], ",")})
		}
	}
	return out
}

// cgroupHomes returns this process's folder by controller, "" for version 2.
func cgroupHomes(self string) map[string]string {
	homes := map[string]string{}
	for line := range strings.Lines(self) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, c := range strings.Split(parts[1], ",") {
			homes[c] = parts[2]
		}
	}
	return homes
}

// folder is where a process whose cgroup is home finds itself below a mount; the
// mount's own top if that is not visible.
func (m cgroupMount) folder(home string) string {
	rel, err := filepath.Rel(m.root, home)
	if err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		if dir := filepath.Join(m.point, rel); exists(dir) {
			return dir
		}
	}
	return m.point
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

// findCgroups returns where children can be made according to the two files,
// without making any. self is /proc/self/cgroup.
func findCgroups(mountinfo, self, prefix string) *hierarchy {
	h := &hierarchy{prefix: prefix, mkdir: func(p string) error { return os.Mkdir(p, 0o755) }}
	homes := cgroupHomes(self)
	for _, m := range cgroupMounts(mountinfo) {
		switch {
		case m.v2 && h.unified == "":
			h.unified = m.folder(homes[""])
		case slices.Contains(m.controllers, "memory"):
			h.memory = m.folder(homes["memory"])
		case slices.Contains(m.controllers, "pids"):
			h.pids = m.folder(homes["pids"])
		}
	}
	if h.memory == "" && h.pids == "" && h.unified != "" {
		h.pure, h.memory, h.pids = true, h.unified, h.unified
	}
	return h
}

// delegate makes sure that children of a pure version 2 folder get the memory
// and pids controllers. A folder with processes of its own cannot pass
// controllers on: if this one is alone there, it moves to a leaf.
func (h *hierarchy) delegate(pid int) error {
	if !h.pure {
		return nil
	}
	const want = "+memory +pids"
	control := filepath.Join(h.unified, "cgroup.subtree_control")
	have, err := os.ReadFile(control)
	if err != nil {
		return err
	}
	if fields := strings.Fields(string(have)); slices.Contains(fields, "memory") && slices.Contains(fields, "pids") {
		return nil
	}
	err = writeFile(control, want)
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	procs, e := os.ReadFile(filepath.Join(h.unified, "cgroup.procs"))
	if e != nil || strings.TrimSpace(string(procs)) != strconv.Itoa(pid) {
		return fmt.Errorf("%w: other processes share %s", err, h.unified)
	}
	leaf := filepath.Join(h.unified, "mythos-executor")
	if e := h.mkdir(leaf); e != nil && !errors.Is(e, fs.ErrExist) {
		return e
	}
	if e := writeFile(filepath.Join(leaf, "cgroup.procs"), strconv.Itoa(pid)); e != nil {
		return e
	}
	return writeFile(control, want)
}

// writeFile writes to a file that is there.
func writeFile(p, v string) error {
	f, err := os.OpenFile(p, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(v)
	return errors.Join(err, f.Close())
}

// cgroup is the group of one sandbox.
type cgroup struct {
	h    *hierarchy
	name string
	dirs []string
	fd   *os.File // of the version 2 folder, to be born in
}

// create makes a group with its limits; nothing is in it yet.
func (h *hierarchy) create(l Limits) (*cgroup, error) {
	c := &cgroup{h: h, name: h.prefix + strconv.FormatInt(h.next.Add(1), 10)}
	if err := c.build(l); err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

func (c *cgroup) build(l Limits) error {
	for _, base := range []string{c.h.unified, c.h.memory, c.h.pids} {
		dir := filepath.Join(base, c.name)
		if slices.Contains(c.dirs, dir) {
			continue
		}
		if err := c.h.mkdir(dir); err != nil {
			return err
		}
		c.dirs = append(c.dirs, dir)
	}
	memory, pids := filepath.Join(c.h.memory, c.name), filepath.Join(c.h.pids, c.name)
	limit, swap, none := "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", strconv.FormatInt(l.Memory, 10)
	if c.h.pure {
		limit, swap, none = "memory.max", "memory.swap.max", "0"
	}
	if err := writeFile(filepath.Join(memory, limit), strconv.FormatInt(l.Memory, 10)); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(memory, swap), none); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // absent where the kernel does not count swap
	}
	if err := writeFile(filepath.Join(pids, "pids.max"), strconv.Itoa(l.Pids)); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(c.h.unified, c.name), unix.O_PATH|unix.O_DIRECTORY, 0)
	c.fd = f
	return err
}

// enter moves the calling thread, which the caller has locked, into the version
// 1 groups; leave moves it back.
func (c *cgroup) enter() error {
	return c.h.moveThread(filepath.Join(c.h.memory, c.name), filepath.Join(c.h.pids, c.name))
}

func (c *cgroup) leave() error { return c.h.moveThread(c.h.memory, c.h.pids) }

func (h *hierarchy) moveThread(dirs ...string) error {
	if h.pure {
		return nil
	}
	for _, d := range dirs {
		if err := writeFile(filepath.Join(d, "tasks"), "0"); err != nil {
			return err
		}
	}
	return nil
}

// kill ends everything in the group.
func (c *cgroup) kill() error {
	return writeFile(filepath.Join(c.h.unified, c.name, "cgroup.kill"), "1")
}

// holds reports whether process pid is in the group, in every hierarchy.
func (c *cgroup) holds(pid int) error {
	for _, d := range c.dirs {
		b, err := os.ReadFile(filepath.Join(d, "cgroup.procs"))
		if err != nil {
			return err
		}
		if !slices.Contains(strings.Fields(string(b)), strconv.Itoa(pid)) {
			return fmt.Errorf("process %d is not in %s", pid, d)
		}
	}
	return nil
}

// oom reports whether the memory limit killed a process.
func (c *cgroup) oom() bool {
	name := "memory.oom_control"
	if c.h.pure {
		name = "memory.events"
	}
	b, err := os.ReadFile(filepath.Join(c.h.memory, c.name, name))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			return n != "0"
		}
	}
	return false
}

// removeFor is how long the kernel may take to let go of a dead process.
const removeFor = 5 * time.Second

// remove deletes the group, in which nothing lives any more.
func (c *cgroup) remove() error {
	var errs []error
	if c.fd != nil {
		errs = append(errs, c.fd.Close())
		c.fd = nil
	}
	for _, d := range c.dirs {
		errs = append(errs, removeDir(d))
	}
	c.dirs = nil
	return errors.Join(errs...)
}

func removeDir(d string) error {
	wait := 200 * time.Microsecond
	for waited := time.Duration(0); ; waited += wait {
		err := rmdirAll(d, maxNested)
		if err == nil || err == unix.ENOENT {
			return nil
		}
		if err != unix.EBUSY || waited > removeFor {
			return &fs.PathError{Op: "rmdir", Path: d, Err: err}
		}
		time.Sleep(wait)
		wait = min(2*wait, 20*time.Millisecond)
	}
}

// maxNested is how deep groups may lie in ours: an OCI runtime makes one of its own.
const maxNested = 4

// rmdirAll removes an empty group and the empty groups in it.
func rmdirAll(d string, depth int) error {
	err := unix.Rmdir(d)
	if err != unix.EBUSY || depth == 0 {
		return err
	}
	entries, readErr := os.ReadDir(d)
	if readErr != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			_ = rmdirAll(filepath.Join(d, e.Name()), depth-1)
		}
	}
	return unix.Rmdir(d)
}

// sweep removes empty groups that executors of the same pid namespace left
// behind when they were killed. A name is mythos-NAMESPACE-PID-RANDOM.
func (h *hierarchy) sweep(namespace string, alive func(pid int) bool) {
	for _, base := range []string{h.unified, h.memory, h.pids} {
		if base == "" {
			continue
		}
		names, err := filepath.Glob(filepath.Join(base, "mythos-"+namespace+"-*"))
		if err != nil {
			continue
		}
		for _, dir := range names {
			parts := strings.Split(filepath.Base(dir), "-")
			if len(parts) != 4 {
				continue
			}
			if pid, err := strconv.Atoi(parts[2]); err == nil && !alive(pid) {
				// One that still holds a process stays: rmdir refuses it.
				_ = rmdirAll(dir, maxNested)
			}
		}
	}
}
