package history_test

import (
	"testing"
	"time"

	"github.com/mythos-run/mythos/internal/crash/history"
)

// TestCheck shows that each rule of the specification refuses what it is for.
func TestCheck(t *testing.T) {
	call := func(begun, ended int64, how history.How, receipt string) history.Call {
		return history.Call{Key: "k", Begun: begun, Ended: ended, How: how, Receipt: receipt}
	}
	other := call(3, 4, history.Fresh, "b")
	other.Key = "other"
	for name, c := range map[string]struct {
		calls []history.Call
		want  bool
	}{
		"nothing":                     {nil, true},
		"fresh, then replayed":        {[]history.Call{call(1, 2, history.Fresh, "a"), call(3, 4, history.Replayed, "a")}, true},
		"replayed before it was":      {[]history.Call{call(1, 2, history.Replayed, "a"), call(3, 4, history.Fresh, "a")}, false},
		"replayed while it becomes":   {[]history.Call{call(1, 9, history.Fresh, "a"), call(2, 8, history.Replayed, "a")}, true},
		"fresh twice":                 {[]history.Call{call(1, 9, history.Fresh, "a"), call(2, 8, history.Fresh, "b")}, false},
		"fresh on two keys":           {[]history.Call{call(1, 2, history.Fresh, "a"), other}, true},
		"another receipt":             {[]history.Call{call(1, 2, history.Fresh, "a"), call(3, 4, history.Replayed, "b")}, false},
		"in progress, then fresh":     {[]history.Call{call(1, 9, history.Fresh, "a"), call(2, 3, history.InProgress, "")}, true},
		"in progress after a receipt": {[]history.Call{call(1, 2, history.Fresh, "a"), call(3, 4, history.InProgress, "")}, false},
		"in doubt after a receipt":    {[]history.Call{call(1, 2, history.Fresh, "a"), call(3, 4, history.InDoubt, "")}, false},
		"fresh after a doubt":         {[]history.Call{call(1, 2, history.InDoubt, ""), call(3, 4, history.Fresh, "a")}, false},
		"in progress after a doubt":   {[]history.Call{call(1, 2, history.InDoubt, ""), call(3, 4, history.InProgress, "")}, false},
		"a death explains a receipt":  {[]history.Call{call(1, 0, history.Died, ""), call(3, 4, history.Replayed, "a")}, true},
		"a death explains one":        {[]history.Call{call(1, 0, history.Died, ""), call(3, 4, history.Replayed, "a"), call(5, 6, history.Replayed, "b")}, false},
		"a death before, unseen":      {[]history.Call{call(1, 0, history.Died, ""), call(3, 4, history.Fresh, "a")}, true},
		"a later death explains none": {[]history.Call{call(1, 2, history.Replayed, "a"), call(3, 0, history.Died, "")}, false},
	} {
		if ok, known := history.Check(c.calls, time.Minute); ok != c.want || !known {
			t.Errorf("%s: %t (known %t), want %t", name, ok, known, c.want)
		}
	}
}
