// Command guest is the modules of the acceptance suite as a native program:
// guest BEHAVIOUR.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	logText     = "line one\n\x1b[31mred\x07"
	maxResponse = 16 << 10
)

func main() {
	how := "echo"
	if len(os.Args) > 1 {
		how = os.Args[1]
	}
	switch how {
	case "late": // the child of fork
		time.Sleep(200 * time.Millisecond)
		answer([]byte("late"))
		return
	case "sleep": // the child of daemon
		forEver()
	case "unread":
		answer([]byte("unread"))
		return
	case "incoherent":
		answer([]byte("unread"))
		frame()
		return
	case "worker":
		for q := frame(); q != nil; q = frame() {
			answer(q)
		}
		return
	case "raw": // answers exactly what it is given, without a frame of its own
		_, _ = io.Copy(os.Stdout, bytes.NewReader(frame()))
		return
	}
	behave(how, frame())
}

func behave(how string, q []byte) {
	switch how {
	case "echo":
		answer(q)
	case "log":
		write(2, []byte(logText))
		answer(q)
	case "chatty":
		for range 100 {
			write(2, []byte(logText))
		}
		answer(q)
	case "garbage":
		answer([]byte("\xff\xfegarbage"))
	case "nothing":
	case "toomuch":
		answer(make([]byte, maxResponse+1))
	case "trap":
		crash()
	case "loop":
		for {
		}
	case "grow":
		grow(q)
	case "exit":
		os.Exit(3)
	case "random":
		b := make([]byte, 64)
		_, _ = rand.Read(b)
		answer(b)
	case "count":
		answer([]byte{count()})
	case "env":
		answer([]byte(strings.Join(append(os.Environ(), os.Args...), " ")))
	default:
		misbehave(how, q)
	}
}

func misbehave(how string, q []byte) {
	switch how {
	case "twice":
		answer(q)
		answer(q)
	case "tail":
		answer(q)
		write(1, []byte("x"))
	case "early":
		write(1, []byte{0x80, 0})
		answer(q)
	case "claim":
		write(1, binary.AppendUvarint(nil, 4<<30))
		forEver()
	case "partial":
		half(q)
		forEver()
	case "broken":
		half(q)
	case "flood":
		for range 128 {
			write(2, bytes.Repeat([]byte("y"), 65536))
		}
		answer(q)
	case "crash":
		answer(q)
		crash()
	case "fail":
		answer(q)
		os.Exit(3)
	case "linger":
		answer(q)
		forEver()
	case "closed":
		os.Stdout.Close()
		forEver()
	case "daemon":
		spawn("sleep")
		answer(q)
	case "fork":
		spawn("late")
	case "deaf":
		signal.Ignore()
		forEver()
	}
}

func frame() []byte {
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
	if _, err := io.ReadFull(os.Stdin, b); err != nil {
		return nil
	}
	return b
}

func write(fd int, b []byte) {
	for len(b) > 0 {
		n, err := syscall.Write(fd, b)
		if err != nil {
			os.Exit(9)
		}
		b = b[n:]
	}
}

func answer(b []byte) {
	write(1, append(binary.AppendUvarint(nil, uint64(len(b))), b...))
}

func half(q []byte) {
	write(1, append(binary.AppendUvarint(nil, uint64(len(q))), q[:len(q)/2]...))
}

func forEver() {
	for {
		time.Sleep(time.Hour)
	}
}

// crash ends the program by a signal, which the first process of a namespace
// cannot send to itself: the kernel sends it for a bad access.
func crash() {
	signal.Reset()
	b, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		os.Exit(9)
	}
	if err := syscall.Mprotect(b, syscall.PROT_NONE); err != nil {
		os.Exit(9)
	}
	// GOTRACEBACK=crash is not to be had; the runtime would turn the signal into
	// status 2, so its handler goes first.
	var act [4]uint64
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGSEGV), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
	b[0] = 1
}

func grow(q []byte) {
	for range 64 {
		b := make([]byte, 64<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
	answer(q)
}

var kept [][]byte

func count() byte {
	f, err := os.OpenFile("/tmp/count", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 99
	}
	defer f.Close()
	_, _ = f.WriteString("x")
	info, err := f.Stat()
	if err != nil {
		return 98
	}
	return byte(info.Size())
}

func spawn(how string) {
	c := exec.Command("/proc/self/exe", how)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		write(2, []byte(err.Error()))
		os.Exit(8)
	}
}
