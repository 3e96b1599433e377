package term

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// refresh is the least time between two drawings of a progress line.
const refresh = 100 * time.Millisecond

const eraseLine = "\r\x1b[K"

// Progress is one line on a terminal that is drawn over itself and erased at
// the end. In a pipe, and on a dumb terminal, it writes nothing at all. It is
// safe for concurrent use.
type Progress struct {
	mu    sync.Mutex
	w     io.Writer // nil: silent
	width int
	now   func() time.Time
	last  time.Time
	drawn bool
}

// NewProgress returns a progress line on w, usually standard error. getenv
// returns the value of an environment variable. Callers defer Done.
func NewProgress(w io.Writer, getenv func(string) string) *Progress {
	if !IsTerminal(w) || !controllable(getenv) {
		return &Progress{}
	}
	return newProgress(w, Width(w), time.Now)
}

func newProgress(w io.Writer, width int, now func() time.Time) *Progress {
	return &Progress{w: w, width: width, now: now}
}

// Silent reports whether nothing is ever drawn.
func (p *Progress) Silent() bool { return p.w == nil }

// Update replaces the line's text, cleaned and cut to the terminal's width.
// Updates that come faster than ten a second are dropped. A failure to write
// is ignored: the work goes on.
func (p *Progress) Update(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w == nil {
		return
	}
	now := p.now()
	if p.drawn && now.Sub(p.last) < refresh {
		return
	}
	p.last, p.drawn = now, true
	// In the last column some terminals wrap.
	text := fit(Clean(fmt.Sprintf(format, args...)), p.width-1)
	_, _ = io.WriteString(p.w, eraseLine+text)
}

// Print writes a line of text above the progress line, in a pipe too when out
// is not the progress line's own stream.
func (p *Progress) Print(out io.Writer, line string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	_, err := io.WriteString(out, line+"\n")
	return err
}

// Done erases the line. It is safe to call twice.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
}

func (p *Progress) erase() {
	if p.drawn {
		p.drawn = false
		_, _ = io.WriteString(p.w, eraseLine)
	}
}
