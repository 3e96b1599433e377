package rules

import (
	"errors"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// TestChargesOfSeveral: a use of several takes all of them or none, and no sum of
// counts is small again.
func TestChargesOfSeveral(t *testing.T) {
	id := cid.Sum([]byte("cap"))
	const most = 1<<32 - 1
	for name, c := range map[string]struct {
		spend []ledger.Spend
		spent uint32
		count uint32
		ok    bool
	}{
		"none said is one":   {[]ledger.Spend{{CapID: id, Max: 3}}, 2, 1, true},
		"the last three":     {[]ledger.Spend{{CapID: id, Max: 5, N: 3}}, 2, 3, true},
		"one too many":       {[]ledger.Spend{{CapID: id, Max: 5, N: 3}}, 3, 3, false},
		"more than the max":  {[]ledger.Spend{{CapID: id, Max: 5, N: 6}}, 0, 6, false},
		"twice":              {[]ledger.Spend{{CapID: id, Max: 9, N: 2}, {CapID: id, Max: 5, N: 3}}, 0, 5, true},
		"twice, the tighter": {[]ledger.Spend{{CapID: id, Max: 4, N: 2}, {CapID: id, Max: 9, N: 3}}, 3, 5, false},
		"all there are":      {[]ledger.Spend{{CapID: id, Max: most, N: most}}, 0, most, true},
		"beyond all":         {[]ledger.Spend{{CapID: id, Max: most, N: most}, {CapID: id, Max: most, N: 2}}, 0, most, false},
	} {
		all := Charges(c.spend)
		if len(all) != 1 || all[0].Count != c.count {
			t.Errorf("%s: %+v, want a count of %d", name, all, c.count)
			continue
		}
		if err := all[0].Check(c.spent); (err == nil) != c.ok || err != nil && !errors.Is(err, ledger.ErrExhausted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
