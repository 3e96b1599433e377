package rules

import "github.com/mythos-run/mythos/runtime/libs/fault"

// Codes of every journal.
const (
	ErrReadOnly    fault.Code = "ledger_read_only"    // the ledger cannot be written
	ErrFull        fault.Code = "ledger_full"         // no space left; nothing was written
	ErrSchemaNewer fault.Code = "ledger_schema_newer" // written by a newer release
	ErrUnavailable fault.Code = "ledger_unavailable"  // an I/O error; nothing more is acknowledged
	ErrClosed      fault.Code = "ledger_closed"       // the store was closed
)
