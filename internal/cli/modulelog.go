package cli

import (
	"bytes"
	"errors"
	"io/fs"
	"os"

	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/node"
)

// moduleLog appends what modules log to a file. It keeps its first error: an
// effect that happened is not undone because its log could not be written.
type moduleLog struct {
	path string
	f    *os.File // nil: nobody wants the log
	err  error
}

// openModuleLog opens the file, made with mode 0600 if it is missing.
func openModuleLog(path string) (*moduleLog, error) {
	l := &moduleLog{path: path}
	if path == "" {
		return l, nil
	}
	var err error
	if l.f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return nil, l.fault(err)
	}
	return l, nil
}

// write appends the lines of one call, each after the tool's label.
func (l *moduleLog) write(tool, variant string, log []byte) {
	if l.f == nil {
		return
	}
	var b bytes.Buffer
	for line := range bytes.Lines(log) {
		b.WriteString(toolLabel(tool, variant) + " " + term.Clean(string(bytes.TrimRight(line, "\r\n"))) + "\n")
	}
	_, err := l.f.Write(b.Bytes())
	l.keep(err)
}

func (l *moduleLog) keep(err error) {
	if l.err == nil && err != nil {
		l.err = l.fault(err)
	}
}

// close returns the first thing that went wrong.
func (l *moduleLog) close() error {
	if l.f != nil {
		l.keep(l.f.Close())
	}
	return l.err
}

func (l *moduleLog) fault(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err // the path is the subject
	}
	return fault.New(node.ErrPath, "%w", err).About(l.path)
}
