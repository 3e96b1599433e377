package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mythos-run/mythos/runtime/journal/rules"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// SQLSTATEs: those of our own functions, and those that are branched on.
const (
	stateNotDurable = "MYL01"
	stateCharges    = "MYL02"

	stateMoved         = "23505" // unique violation
	stateDeadlock      = "40P01"
	stateSerialization = "40001"
)

func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// lost is an error with which a connection ended, or could not be made; what was
// on its way may have been carried out or not.
type lost struct{ error }

func (l lost) Unwrap() error { return l.error }

// lostIf marks the error of a statement after which the connection is closed.
func lostIf(conn *pgx.Conn, err error) error {
	if err != nil && conn.IsClosed() && fault.CodeOf(err) == "" {
		return lost{err}
	}
	return err
}

// isLost reports whether err is of a connection that ended, for a reason that may
// pass.
func isLost(err error) bool {
	var l lost
	if errors.As(err, &l) {
		return true
	}
	state := sqlState(err) // too many connections; shutdown, crash, starting up
	return state == "53300" || strings.HasPrefix(state, "08") || strings.HasPrefix(state, "57P")
}

// storeError gives an error of the database its code.
func storeError(err error) error {
	var l lost
	if errors.As(err, &l) {
		return fault.New(rules.ErrUnavailable, "%w", l.error)
	}
	if err == nil || fault.CodeOf(err) != "" || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch state := sqlState(err); state {
	case stateNotDurable:
		return fault.New(ErrNotDurable, "%w", err)
	case "25006":
		return fault.New(ErrNotPrimary, "%w", err)
	case "42501":
		return fault.New(rules.ErrReadOnly, "%w", err)
	case "53100":
		return fault.New(rules.ErrFull, "%w", err)
	case "28000", "28P01", "3D000":
		return fault.New(ErrAccess, "%w", err)
	case "XX001", "XX002":
		return fault.New(ledger.ErrCorrupt, "%w", err)
	}
	return fault.New(rules.ErrUnavailable, "%w", err)
}

// connectError is the error of a connection that was not made. What checkServer
// says stands alone; pgconn's text names user and database but no password.
func connectError(address string, err error) error {
	var e *fault.Error
	if errors.As(err, &e) {
		return e.About(Redacted(address))
	}
	if isLost(err) || sqlState(err) == "" {
		return lost{err}
	}
	if errors.As(storeError(err), &e) {
		return e.About(Redacted(address))
	}
	return err
}
