// Command look is an image module that reports what it finds and what it may do:
// look ITEM... answers one line for each.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sort"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	if os.Args[1] == "child" {
		time.Sleep(time.Hour)
	}
	if os.Args[1] == "hold" { // tells that it runs, then stays with a child
		signal.Ignore()
		c := exec.Command("/proc/self/exe", "child")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
		c.ExtraFiles = []*os.File{os.NewFile(3, "held")}
		fmt.Println("holding", c.Start())
		time.Sleep(time.Hour)
	}
	if os.Args[1] == "nothing" {
		return
	}
	if os.Args[1] == "serve" { // answers each request with its last byte plus how many there were
		for n := byte(1); ; n++ {
			q := read()
			if q == nil {
				return
			}
			q[len(q)-1] += n
			os.Stdout.Write(append(binary.AppendUvarint(nil, uint64(len(q))), q...))
		}
	}
	read()
	var out []string
	for _, item := range os.Args[1:] {
		name, value, _ := strings.Cut(item, ":")
		out = append(out, look(name, value))
	}
	b := []byte(strings.Join(out, "\n"))
	os.Stdout.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...))
}

func read() []byte {
	var n uint64
	var c [1]byte
	for shift := 0; ; shift += 7 {
		if _, err := io.ReadFull(os.Stdin, c[:]); err != nil {
			return nil
		}
		n |= uint64(c[0]&0x7f) << shift
		if c[0] < 0x80 {
			break
		}
	}
	b := make([]byte, n)
	_, _ = io.ReadFull(os.Stdin, b)
	return b
}

func look(name, value string) string {
	switch name {
	case "env":
		env := os.Environ()
		sort.Strings(env)
		return strings.Join(env, " ")
	case "argv0":
		return os.Args[0]
	case "cwd":
		d, _ := os.Getwd()
		return d
	case "id":
		return fmt.Sprint(os.Getuid(), os.Getgid())
	case "caps":
		b, _ := os.ReadFile("/proc/self/status")
		var out []string
		for line := range strings.Lines(string(b)) {
			for _, key := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp:"} {
				if strings.HasPrefix(line, key) {
					out = append(out, strings.Join(strings.Fields(line), ""))
				}
			}
		}
		return strings.Join(out, " ")
	case "read":
		b, err := os.ReadFile(value)
		return first(err, string(b))
	case "write":
		path, text, _ := strings.Cut(value, "=")
		return first(os.WriteFile(path, []byte(text), 0o600), "ok")
	case "list":
		d, err := os.ReadDir(value)
		var names []string
		for _, e := range d {
			names = append(names, e.Name())
		}
		return first(err, strings.Join(names, " "))
	case "exec":
		return first(exec.Command(value).Run(), "ok")
	case "fds":
		var out []string
		for fd := range 256 {
			to, err := os.Readlink(fmt.Sprint("/proc/self/fd/", fd))
			if err == nil && fd > 2 && !strings.HasPrefix(to, "anon_inode:[event") {
				out = append(out, to)
			}
		}
		return strings.Join(out, " ")
	case "fd":
		b, err := io.ReadAll(os.NewFile(uintptr(number(value)), "fd"))
		return first(err, string(b))
	case "unix":
		c, err := net.Dial("unix", value)
		if err != nil {
			return first(err, "")
		}
		defer c.Close()
		b, err := io.ReadAll(c)
		return first(err, string(b))
	}
	return attack(name)
}

// attack tries what no module may.
func attack(name string) string {
	call := func(nr uintptr, args ...uintptr) string {
		a := append(args, 0, 0, 0, 0, 0, 0)
		_, _, errno := syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno == 0 {
			return "ok"
		}
		return errno.Error()
	}
	path := []byte("/tmp\x00")
	at := uintptr(unsafe.Pointer(&path[0]))
	switch name {
	case "unshare":
		return call(syscall.SYS_UNSHARE, syscall.CLONE_NEWUSER)
	case "clone":
		c := exec.Command("/proc/self/exe", "nothing")
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET}
		return first(c.Run(), "ok")
	case "inet":
		return call(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_STREAM)
	case "vsock":
		return call(syscall.SYS_SOCKET, 40, syscall.SOCK_STREAM)
	case "mount":
		return call(syscall.SYS_MOUNT, at, at, at)
	case "ptrace":
		return call(syscall.SYS_PTRACE, syscall.PTRACE_TRACEME)
	case "chroot":
		return call(syscall.SYS_CHROOT, at)
	case "keyctl":
		return call(250, 0, ^uintptr(2))
	case "bpf":
		return call(321)
	case "io_uring":
		return call(425, 1)
	case "tiocsti":
		return call(syscall.SYS_IOCTL, 0, syscall.TIOCSTI, at)
	case "fork":
		return forks()
	case "memory":
		return fill()
	}
	return "unknown " + name
}

// forks starts children until it may not.
func forks() string {
	for n := range 1000 {
		c := exec.Command("/proc/self/exe", "child")
		if err := c.Start(); err != nil {
			return fmt.Sprintf("stopped below %d", (n/100+1)*100)
		}
	}
	return "1000"
}

// fill takes 4 GiB.
func fill() string {
	var kept [][]byte
	for range 64 {
		b := make([]byte, 64<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
	return fmt.Sprint(len(kept))
}

func number(s string) (n int) {
	fmt.Sscan(os.Getenv(s), &n)
	return n
}

func first(err error, text string) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return text
	case errors.As(err, &errno):
		return errno.Error()
	}
	return err.Error()
}
