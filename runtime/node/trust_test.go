package node_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// TestAddTrustLosesNothing: entries that are added at the same moment, each by a
// node of its own as by a process of its own, all stand in the file.
func TestAddTrustLosesNothing(t *testing.T) {
	home := t.TempDir()
	const nodes, each = 8, 4
	var wg sync.WaitGroup
	for i := range nodes {
		n := at(t, home)
		wg.Go(func() {
			for j := range each {
				key := sig.NewKey([32]byte{byte(i), byte(j)}, fmt.Sprintf("%d-%d", i, j))
				_, _, err := n.AddTrust(t.Context(), gate.TrustEntry{Role: sig.Publisher, Keys: []sig.AgentID{key.Agent()}})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	trust, err := at(t, home).Trust()
	if err != nil {
		t.Fatal(err)
	}
	hints := map[string]bool{}
	for _, e := range trust.Entries() {
		hints[e.Keys[0].Hint] = true
	}
	if len(hints) != nodes*each {
		t.Errorf("%d entries stand, want %d", len(hints), nodes*each)
	}
}
