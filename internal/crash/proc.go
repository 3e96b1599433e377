package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// process is a child that runs.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // what it says after ready; closed when it has ended
	fault error       // why it could not be read to its end; once lines is closed
}

// start begins a child of the world and waits until it is ready. wrap goes before
// the command: strace and its arguments, or nothing.
func (w *World) start(wrap ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append(wrap, self, "child", w.Dir)
	p := &process{cmd: exec.Command(args[0], args[1:]...), lines: make(chan string, 4096)}
	p.cmd.Env = append(os.Environ(), "GOGC=400", "TMPDIR="+w.Dir) // most live for milliseconds, and leave things there
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(out, 1<<16)
	first, err := r.ReadString('\n')
	if err != nil || first != "ready\n" {
		p.kill()
		return nil, errors.Join(fmt.Errorf("a child began with %q: %w", first, err), p.cmd.Wait())
	}
	go p.read(r)
	return p, nil
}

// read passes on what the child says. A line that the kill cut off is none.
func (p *process) read(r *bufio.Reader) {
	defer close(p.lines)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) {
				p.fault = err
			}
			return
		}
		p.lines <- strings.TrimSuffix(line, "\n")
	}
}

func (p *process) tell(o Order) error {
	raw, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return p.ask(string(raw))
}

func (p *process) ask(line string) error {
	_, err := io.WriteString(p.in, line+"\n")
	return err
}

// kill ends the process group at once.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may be over
}

// wait waits for the end of a process whose lines were read to their end.
func (p *process) wait() (killed bool, err error) {
	p.in.Close()
	err = p.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true, p.fault
	}
	return false, errors.Join(err, p.fault)
}

// finish lets a process do its order to the end and returns what it said.
func (p *process) finish() ([]string, error) {
	p.in.Close()
	var all []string
	for line := range p.lines {
		all = append(all, line)
	}
	killed, err := p.wait()
	if killed {
		err = errors.Join(err, errors.New("the process was killed, and not by the harness"))
	}
	return all, err
}
