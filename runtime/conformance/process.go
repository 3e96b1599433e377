package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds on an external implementation.
const (
	MaxAnswer   = 1 << 20 // bytes of one line
	AnswerLimit = 60 * time.Second
	closeLimit  = 2 * time.Second // from the end of its input to its own end
)

// Command describes an external implementation: a program that answers one JSON
// line with another, as ctvp/README.md says.
type Command struct {
	Args   []string      // the program and its arguments, at least one
	Stderr io.Writer     // gets its standard error, whole writes at a time; nil: dropped
	Limit  time.Duration // for one answer; 0: AnswerLimit

	alarm func(time.Duration, func()) stopper // nil: time.AfterFunc; tests ring it themselves
}

// stopper is a timer that can be stopped.
type stopper interface{ Stop() bool }

// Start returns a function that starts the program.
func (c Command) Start() Start {
	if c.Limit == 0 {
		c.Limit = AnswerLimit
	}
	if c.alarm == nil {
		c.alarm = func(d time.Duration, f func()) stopper { return time.AfterFunc(d, f) }
	}
	if c.Stderr != nil {
		c.Stderr = &sharedWriter{w: c.Stderr}
	}
	return c.start
}

// sharedWriter lets several processes write to one place.
type sharedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sharedWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// process is a running program. Whoever talks to it holds a timer that kills it.
type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	pipe io.ReadCloser
	out  *bufio.Reader
	of   Command
	late atomic.Bool // killed because an answer did not come in time
}

func (c Command) start(ctx context.Context) (Impl, error) {
	if len(c.Args) == 0 {
		return nil, errors.New("no program is named")
	}
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Stderr, cmd.WaitDelay = c.Stderr, closeLimit
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd: cmd, in: in, pipe: pipe, out: bufio.NewReaderSize(pipe, MaxAnswer), of: c}, nil
}

// kill ends the program and whatever waits for it: a grandchild may still hold
// the pipes open.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.in.Close()
	_ = p.pipe.Close()
}

func (p *process) Hello(ctx context.Context) (Info, error) {
	const id = "hello"
	a, err := p.Do(ctx, Request{id, id, json.RawMessage(`{"schema":"` + ImplSchema + `"}`)})
	if err != nil {
		return Info{}, err
	}
	var info Info
	switch {
	case a.ID != id || !a.OK:
		return Info{}, fmt.Errorf("the answer is %s", short(a))
	case json.Unmarshal(a.Output, &info) != nil || info.Name == "":
		return Info{}, fmt.Errorf("the output is %.200s, want name, version and ops", a.Output)
	}
	return info, nil
}

func (p *process) Do(ctx context.Context, r Request) (Answer, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return Answer{}, err
	}
	if err := ctx.Err(); err != nil {
		return Answer{}, &Broken{err}
	}
	timer := p.of.alarm(p.of.Limit, func() {
		p.late.Store(true)
		p.kill()
	})
	defer timer.Stop()
	stop := context.AfterFunc(ctx, p.kill)
	defer stop()
	_, werr := p.in.Write(append(line, '\n'))
	answer, err := p.out.ReadSlice('\n')
	switch {
	case p.late.Load():
		return Answer{}, &Broken{fmt.Errorf("no answer within %s", p.of.Limit)}
	case errors.Is(err, bufio.ErrBufferFull):
		return Answer{}, &Broken{fmt.Errorf("an answer of more than %d bytes", MaxAnswer)}
	case err != nil:
		return Answer{}, &Broken{p.ended(answer, errors.Join(werr, err))}
	}
	var a Answer
	if err := json.Unmarshal(answer, &a); err != nil {
		return Answer{}, &Broken{fmt.Errorf("it wrote %.120q, which is no answer: %w", answer, err)}
	}
	return a, nil
}

// ended says how the program ended instead of answering.
func (p *process) ended(rest []byte, err error) error {
	if status := p.Close(); status != nil {
		err = status
	}
	text := "it ended without an answer"
	if len(rest) > 0 {
		text = fmt.Sprintf("it ended inside a line, %.120q", rest)
	}
	if errors.Is(err, io.EOF) {
		return errors.New(text)
	}
	return fmt.Errorf("%s: %w", text, err)
}

// Close ends the program's input and waits for it, but not for long.
func (p *process) Close() error {
	if p.cmd.ProcessState != nil {
		return nil
	}
	_ = p.in.Close() // it may have ended
	timer := time.AfterFunc(closeLimit, p.kill)
	defer timer.Stop()
	_, _ = io.Copy(io.Discard, p.pipe) // until it ends; Wait would close the pipe under it
	return p.cmd.Wait()
}

// SplitCommand splits a command line into words at spaces and tabs; words in
// single or double quotes may hold them. There is no other meaning to any
// character: no shell runs.
func SplitCommand(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	inside := false
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, inside = c, true
		case c == ' ' || c == '\t':
			if inside {
				words = append(words, word.String())
			}
			word.Reset()
			inside = false
		default:
			word.WriteRune(c)
			inside = true
		}
	}
	if inside {
		words = append(words, word.String())
	}
	switch {
	case quote != 0:
		return nil, fmt.Errorf("a quote %c is not closed", quote)
	case len(words) == 0:
		return nil, errors.New("no program is named")
	}
	return words, nil
}
