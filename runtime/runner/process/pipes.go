package process

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/runner"
)

// pipes are the host's ends of a module's three pipes. One goroutine at a time
// exchanges frames over them; another takes stderr from the start to the end, so
// that no module is ever blocked by what it logs.
type pipes struct {
	in, out, err *os.File
	buf          []byte // what is read from stdout at a time
	frame        []byte // the request's frame, kept for the next one
	inRoom       int    // bytes that fit into stdin's pipe

	mu      sync.Mutex // guards log; held while bytes move from stderr to it
	log     *runner.Log
	drained chan struct{} // closed when stderr has ended
}

const (
	readStep  = 64 << 10
	frameHead = 10       // bytes of a frame's length, at most
	pipeRoom  = 64 << 10 // what a pipe holds at first
	maxPipe   = 1 << 20  // what an unprivileged user may make it hold
)

// newPipes begins to take stderr. Whoever closes the files ends that.
func newPipes(in, out, stderr *os.File) *pipes {
	p := &pipes{in: in, out: out, err: stderr, buf: make([]byte, readStep), inRoom: pipeRoom, drained: make(chan struct{})}
	go p.drain()
	return p
}

// drain moves stderr into the log of the call under way. What comes between two
// calls belongs to none and is dropped.
func (p *pipes) drain() {
	defer close(p.drained)
	raw, err := p.err.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 16<<10)
	for !nowait && err == nil {
		var n int
		n, err = p.err.Read(buf)
		p.keep(buf[:n])
	}
	ended := false
	for !ended && err == nil {
		err = raw.Read(func(fd uintptr) bool {
			more := true
			more, ended = p.move(fd, buf)
			return more || ended
		})
	}
}

// move takes what one read gives. It reports whether there was something, and
// whether nothing will ever come.
func (p *pipes) move(fd uintptr, buf []byte) (some, ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := readNow(fd, buf)
	if n > 0 && p.log != nil {
		_, _ = p.log.Write(buf[:n])
	}
	return n > 0, n <= 0 && !errors.Is(err, errNothingYet)
}

// keep adds to the log of the call under way.
func (p *pipes) keep(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.log != nil {
		_, _ = p.log.Write(b)
	}
}

// begin makes log the log of the call under way.
func (p *pipes) begin(log *runner.Log) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = log
}

// end takes what is in stderr's pipe now and ends the log of the call. Its
// caller may then read the log.
func (p *pipes) end() {
	p.settle()
	p.begin(nil)
}

// settle moves everything that is in stderr's pipe now, at most some pipes full
// of it: a module may write without end.
func (p *pipes) settle() {
	raw, err := p.err.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		for range 64 {
			if some, _ := p.move(fd, p.buf[:16<<10]); !some {
				return
			}
		}
	})
}

// sent says what became of a request.
type sent struct {
	n   int   // bytes that the pipe took
	err error // os.ErrDeadlineExceeded, syscall.EPIPE ..
}

// send writes one frame. If it fits into the pipe that takes no time and is done
// on return; otherwise it goes on beside the caller's reading, because a module
// may answer before it has read everything. With last stdin is closed after it.
func (p *pipes) send(request []byte, last bool) <-chan sent {
	if cap(p.frame) < len(request)+frameHead {
		p.frame = make([]byte, 0, len(request)+frameHead)
	}
	frame := abi.AppendFrame(p.frame[:0], request)
	done := make(chan sent, 1)
	write := func() {
		n, err := p.in.Write(frame)
		if last {
			_ = p.in.Close()
		}
		done <- sent{n, err}
	}
	if len(frame) > p.inRoom {
		p.inRoom = widen(p.in, min(len(frame), maxPipe))
	}
	if len(frame) <= p.inRoom {
		write()
	} else {
		go write()
	}
	return done
}

// receive reads stdout into frame until it is over: enough(frame) with one
// frame to be had, the end of the stream, or the deadline of out.
func (p *pipes) receive(frame *runner.Frame, enough func() bool) error {
	for !enough() {
		n, err := p.out.Read(p.buf)
		_, _ = frame.Write(p.buf[:n])
		if err != nil {
			return err
		}
	}
	return nil
}

// rest tells what follows a whole frame: more bytes, which make it invalid, or
// nothing at all, so that another request may follow. Neither is true if the
// module has ended or has not read all of its request.
func (p *pipes) rest() (more, ready bool) {
	if raw, err := p.out.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			n, err := readNow(fd, p.buf[:1])
			more, ready = n > 0, errors.Is(err, errNothingYet)
		})
	}
	return more, ready && unread(p.in) == 0
}

// deadline bounds reading and writing; the zero time is none.
func (p *pipes) deadline(t time.Time) {
	_ = p.out.SetReadDeadline(t)
	_ = p.in.SetWriteDeadline(t)
}

// errNothingYet is what readNow returns for a pipe that is open and empty.
var errNothingYet = errors.New("nothing to read yet")
