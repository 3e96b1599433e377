package cli

import (
	"fmt"
	"time"

	"github.com/mythos-run/mythos/internal/term"
)

// waiting shows what a command waits for: a line on a terminal that is drawn anew
// when that changes, and elsewhere one line of text for each thing waited for.
type waiting struct {
	*app
	progress *term.Progress
	told     map[string]bool
}

func (a *app) newWaiting() *waiting {
	return &waiting{app: a, progress: term.NewProgress(a.Err, a.Getenv), told: map[string]bool{}}
}

// ledger is told who holds the ledger.
func (w *waiting) ledger(holder string) { w.show(holder, "waiting for the ledger: "+holder) }

// effect is told until when the lease of an effect stands that runs elsewhere.
func (w *waiting) effect(tool string, until time.Time) {
	w.show(tool, fmt.Sprintf("waiting for %s, which runs elsewhere until %s at the latest", tool, until.UTC().Format(time.RFC3339)))
}

func (w *waiting) show(what, text string) {
	w.progress.Update("%s", text)
	if w.progress.Silent() && !w.told[what] {
		w.told[what] = true
		w.note("%s; --no-wait fails instead", text)
	}
}

func (w *waiting) done() { w.progress.Done() }
