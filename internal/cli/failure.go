package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mythos-run/mythos/ctvp"
	"github.com/mythos-run/mythos/internal/term"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// ErrInterrupted is the code of a command that a signal ended.
const ErrInterrupted fault.Code = "interrupted"

const (
	exitInterrupted = 130
	exitPipe        = 141
)

// failures ends a command with several errors, each reported on its own, or
// with an exit code that is not its first error's.
type failures struct {
	errs []error // none: the command has said all that there is to say
	exit int     // 0: that of the first error
}

func (f *failures) Error() string {
	if len(f.errs) == 0 {
		return fmt.Sprintf("exit code %d", f.exit)
	}
	return errors.Join(f.errs...).Error()
}

func (f *failures) Unwrap() []error { return f.errs }

// hinted is an error with a hint of its own instead of that of its code.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// report prints what a command failed with and returns its exit code.
func (a *app) report(ctx context.Context, cmd *cobra.Command, err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, ErrOutput) && errors.Is(err, syscall.EPIPE) {
		return exitPipe // nobody reads any more
	}
	interrupted := ctx.Err() != nil
	switch {
	case !interrupted, errors.Is(err, ledger.ErrInDoubt): // that matters more than why
	case err == context.Canceled:
		err = fault.New(ErrInterrupted, "stopped by a signal")
	default:
		err = fault.New(ErrInterrupted, "stopped by a signal: %w", err)
	}
	list, exit := []error{err}, 0
	var many *failures
	if errors.As(err, &many) {
		list, exit = many.errs, many.exit
	}
	hints := map[string]bool{}
	for _, e := range list {
		entry := a.explain(cmd, e)
		entry.Hint = hintFor(entry.Hint, e)
		if own := new(hinted); errors.As(e, &own) {
			entry.Hint = own.hint
		}
		a.printError(e)
		if entry.Hint != "" && !hints[entry.Hint] {
			hints[entry.Hint] = true
			fmt.Fprintf(a.Err, "%s: hint: %s\n", a.name, entry.Hint)
		}
		if exit == 0 {
			exit = entry.Exit
		}
	}
	if interrupted {
		return exitInterrupted
	}
	return exit
}

// hintFor puts the effect that an error names into its hint, where that says ID, so
// that its commands can be typed as they stand.
func hintFor(hint string, err error) string {
	if _, rest, ok := strings.Cut(err.Error(), "id sha256:"); ok && len(rest) > 12 {
		return strings.ReplaceAll(hint, " ID", " "+rest[:12])
	}
	return hint
}

// printError writes "mythos: error: subject: message (code)". Further lines of
// a message are indented, so that none can pose as ours.
func (a *app) printError(err error) {
	lines := strings.Split(strings.TrimRight(err.Error(), "\n"), "\n")
	for i, line := range lines {
		lines[i] = term.Clean(strings.ReplaceAll(line, "\t", "    "))
	}
	fmt.Fprintf(a.Err, "%s: error: %s\n", a.name, strings.Join(lines, "\n  "))
}

// about names the subject of an error that has none.
func about(subject string, err error) error {
	var e *fault.Error
	if errors.As(err, &e) && e.Subject == "" {
		return e.About(subject)
	}
	return err
}

// explain returns the row of the error table for err.
func (a *app) explain(cmd *cobra.Command, err error) ctvp.ErrorEntry {
	entry, tableErr := lookUp(fault.CodeOf(err))
	if tableErr != nil {
		a.printError(tableErr)
	}
	if errors.Is(err, ErrUsage) && cmd != nil {
		entry.Exit, entry.Hint = 2, fmt.Sprintf("run %q for usage", cmd.CommandPath()+" --help")
	}
	return entry
}

// lookUp returns the row of a code; one that is not listed has exit code 1 and
// no hint.
func lookUp(code fault.Code) (ctvp.ErrorEntry, error) {
	table, err := ctvp.Errors()
	i := slices.IndexFunc(table, func(e ctvp.ErrorEntry) bool { return e.Code == string(code) })
	if err != nil || i < 0 {
		return ctvp.ErrorEntry{Code: string(code), Exit: 1}, err
	}
	return table[i], nil
}

// note writes a line for people to standard error.
func (a *app) note(format string, args ...any) {
	_, _ = io.WriteString(a.Err, a.name+": "+term.Clean(fmt.Sprintf(format, args...))+"\n")
}
