// Package trace rebuilds the files of a process as a power loss could have left
// them. It reads what strace writes about the process (Parse, for the command
// line that Args gives), plays the calls on a Disk that knows what was synced and
// what was only written, and Disk.Rebuild writes one of the states that the disk
// may be in: everything that was synced, and of the rest, which a cache may have
// written in any order, any part, down to single sectors.
//
// A file's bytes are durable when a sync of it has returned, and a name when a
// sync of its folder has; what a sync covers is what was written before it was
// called. A sync that strace kept from happening (inject) is none. So this is
// stricter than a file system that orders names and data: what survives here
// survives there.
package trace

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Kind is the kind of an Event.
type Kind uint8

// The kinds. A sync is two events, since other calls go on meanwhile.
const (
	Write Kind = iota + 1
	Truncate
	Create
	Remove
	Rename
	SyncBegin
	SyncEnd
	Said // a write to standard output: what the process acknowledged
)

// Event is one call, or the end of one, in the order in which they happened.
type Event struct {
	Kind Kind
	Path string
	To   string // of a Rename
	Off  int64  // of a Write; the length for a Truncate
	Data []byte // of a Write, or Said
	Call int    // which sync, for SyncBegin and SyncEnd
}

// Args are the arguments of strace, to file out, for a process to be followed;
// the command comes behind.
func Args(out string, inject ...string) []string {
	args := []string{
		"-f", "-qq", "-xx", "-y", "-s", "4194304", "-o", out,
		"-e", "trace=open,openat,write,pwrite64,fsync,fdatasync,ftruncate,unlink,unlinkat,rename,renameat,renameat2",
	}
	for _, i := range inject {
		args = append(args, "-e", "inject="+i)
	}
	return args
}

var (
	lineForm    = regexp.MustCompile(`^(\d+) +([a-z0-9]+)\((.*)$`)
	resumedForm = regexp.MustCompile(`^(\d+) +<\.\.\. ([a-z0-9]+) resumed>(.*)$`)
	returnForm  = regexp.MustCompile(`\) += (-?\d+)`)
	fileForm    = regexp.MustCompile(`^(\d+)<([^>]*)>`)
	textForm    = regexp.MustCompile(`"((?:\\x[0-9a-f]{2})*)"`)
	numberForm  = regexp.MustCompile(`, (\d+)`)
)

// parser follows the calls of each thread.
type parser struct {
	open   map[string]pending // by thread: a call that has not returned
	events []Event
	calls  int
}

type pending struct {
	name, args string
	sync       int // of a sync that has begun
}

// Parse reads what strace wrote with Args.
func Parse(r io.Reader) ([]Event, error) {
	p := &parser{open: map[string]pending{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), 1<<25)
	for n := 1; lines.Scan(); n++ {
		if err := p.line(lines.Text()); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return p.events, lines.Err()
}

func (p *parser) line(s string) error {
	if strings.Contains(s, `"...`) {
		return errors.New("strace has cut a text")
	}
	if m := resumedForm.FindStringSubmatch(s); m != nil {
		call, ok := p.open[m[1]]
		if !ok || call.name != m[2] {
			return fmt.Errorf("%s resumes and has not begun", m[2])
		}
		delete(p.open, m[1])
		return p.returned(call, m[3])
	}
	m := lineForm.FindStringSubmatch(s)
	if m == nil {
		return nil // a signal, or the end of a thread
	}
	args, unfinished := strings.CutSuffix(m[3], " <unfinished ...>")
	call := pending{name: m[2], args: args}
	if err := p.called(&call); err != nil {
		return err
	}
	if unfinished {
		p.open[m[1]] = call
		return nil
	}
	return p.returned(call, args)
}

// called takes down what counts from the moment of the call.
func (p *parser) called(c *pending) error {
	switch c.name {
	case "write", "pwrite64":
		return p.write(c)
	case "fsync", "fdatasync":
		path, _, err := file(c.args)
		p.calls++
		c.sync = p.calls
		p.events = append(p.events, Event{Kind: SyncBegin, Path: path, Call: c.sync})
		return err
	case "ftruncate":
		path, rest, err := file(c.args)
		if err != nil {
			return err
		}
		n, err := number(rest)
		p.events = append(p.events, Event{Kind: Truncate, Path: path, Off: n})
		return err
	}
	return nil
}

// write takes down a write. One that has not returned may have happened.
func (p *parser) write(c *pending) error {
	fd := fileForm.FindStringSubmatch(c.args)
	if fd == nil {
		return nil // no file behind it
	}
	path, rest, err := file(c.args)
	if err != nil {
		return err
	}
	data, rest, err := text(rest)
	if err != nil {
		return err
	}
	e := Event{Kind: Write, Path: path, Data: data}
	switch {
	case fd[1] == "1":
		e.Kind = Said
	case c.name == "write":
		return nil // no ledger is written to this way
	default:
		rest = strings.TrimPrefix(rest, ", ") // the length
		if e.Off, err = number(rest); err != nil {
			return err
		}
	}
	p.events = append(p.events, e)
	return nil
}

// returned takes down what counts once the call has returned.
func (p *parser) returned(c pending, end string) error {
	m := returnForm.FindStringSubmatch(end)
	if m == nil || strings.HasPrefix(m[1], "-") || strings.Contains(end, "INJECTED") {
		return nil // it failed, it did nothing, or the process ended in it
	}
	switch c.name {
	case "fsync", "fdatasync":
		path, _, err := file(c.args)
		p.events = append(p.events, Event{Kind: SyncEnd, Path: path, Call: c.sync})
		return err
	case "open", "openat":
		if !strings.Contains(c.args, "O_CREAT") {
			return nil
		}
		path, _, err := text(c.args)
		p.events = append(p.events, Event{Kind: Create, Path: string(path)})
		return err
	case "unlink", "unlinkat":
		path, _, err := text(c.args)
		p.events = append(p.events, Event{Kind: Remove, Path: string(path)})
		return err
	case "rename", "renameat", "renameat2":
		from, rest, err := text(c.args)
		if err != nil {
			return err
		}
		to, _, err := text(rest)
		p.events = append(p.events, Event{Kind: Rename, Path: string(from), To: string(to)})
		return err
	}
	return nil
}

// file reads a descriptor with the path behind it.
func file(args string) (path, rest string, err error) {
	m := fileForm.FindStringSubmatch(args)
	if m == nil {
		return "", "", fmt.Errorf("no file in %.40q", args)
	}
	raw, err := unescape(m[2])
	return string(raw), args[len(m[0]):], err
}

// text reads the next quoted bytes.
func text(args string) (data []byte, rest string, err error) {
	at := textForm.FindStringSubmatchIndex(args)
	if at == nil {
		return nil, "", fmt.Errorf("no text in %.40q", args)
	}
	data, err = unescape(args[at[2]:at[3]])
	return data, args[at[1]:], err
}

func unescape(s string) ([]byte, error) {
	if !strings.HasPrefix(s, `\x`) {
		return []byte(s), nil
	}
	return hex.DecodeString(strings.ReplaceAll(s, `\x`, ""))
}

// number reads the next number behind a comma.
func number(rest string) (int64, error) {
	m := numberForm.FindStringSubmatch(rest)
	if m == nil {
		return 0, fmt.Errorf("no number in %.40q", rest)
	}
	return strconv.ParseInt(m[1], 10, 64)
}
