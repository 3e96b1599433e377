package transfer

import (
	"slices"
	"sync"
)

// order is in which order remotes are asked: as they were given, those that failed
// or lied before last. A dead one must not cost its patience for every object.
type order struct {
	list []Named
	told func(string, error) // may be nil

	mu    sync.Mutex
	turns []int // indices of list
}

func newOrder(list []Named, told func(string, error)) *order {
	o := &order{list: list, told: told}
	for i := range list {
		o.turns = append(o.turns, i)
	}
	return o
}

// now returns the indices of the remotes in the order in which to ask them.
func (o *order) now() []int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.turns)
}

// failed puts a remote last.
func (o *order) failed(i int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := slices.Index(o.turns, i)
	o.turns = append(slices.Delete(o.turns, at, at+1), i)
	if o.told != nil {
		o.told(o.list[i].Name, err)
	}
}
