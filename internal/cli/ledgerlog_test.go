package cli_test

import (
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mythos-run/mythos/runtime/journal/journaltest"
)

// alter runs SQL on a ledger, as somebody does who can write its files.
func alter(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "alter DIR SQL")
	ts.Check(journaltest.Alter(ts.MkAbs(args[0]), args[1]))
}
