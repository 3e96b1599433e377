package gate

import (
	"slices"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// TrustsOperator reports whether an operator entry that was current at a time holds
// a key, alone: whether a resolution that it signs counts here. A resolution has one
// signature, so an entry that asks for several counts for none. Names and rings of
// the entry say nothing about resolutions.
func (t *Trust) TrustsOperator(key sig.AgentID, at time.Time) bool {
	return slices.ContainsFunc(t.entries, func(e TrustEntry) bool {
		return e.Role == sig.Operator && e.Threshold == 1 && e.Current(at) && e.Holds(key)
	})
}
