package process

import (
	"context"
	"slices"
	"sync"

	"github.com/mythos-run/mythos/runtime/runner/sandbox"
)

// lot keeps sandboxes in which nothing of any module has run yet: namespaces,
// cgroup and limits are there, the program is not. They differ by their limits
// alone, so any call may take one. A new one is parked after one was taken, off
// the path of the call.
type lot struct {
	host *sandbox.Host
	most int

	ctx    context.Context // ends with the Runner
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	parked []space // oldest first
	coming int     // being parked
	closed bool
}

type space struct {
	limits sandbox.Limits
	box    *sandbox.Parked
}

func newLot(h *sandbox.Host, most int) *lot {
	l := &lot{host: h, most: most}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// take returns a parked sandbox with these limits, or nil, and sees to it that
// there will be one the next time.
func (l *lot) take(limits sandbox.Limits) *sandbox.Parked {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.most == 0 || l.closed {
		return nil
	}
	var box *sandbox.Parked
	for i, s := range l.parked {
		if s.limits == limits {
			box = s.box
			l.parked = slices.Delete(l.parked, i, i+1)
			break
		}
	}
	l.refill(limits)
	return box
}

// refill parks one more. If there is no room the oldest with other limits goes.
func (l *lot) refill(limits sandbox.Limits) {
	var old *sandbox.Parked
	if len(l.parked)+l.coming >= l.most {
		i := slices.IndexFunc(l.parked, func(s space) bool { return s.limits != limits })
		if i < 0 {
			return
		}
		old = l.parked[i].box
		l.parked = slices.Delete(l.parked, i, i+1)
	}
	l.coming++
	l.work.Go(func() {
		if old != nil {
			_ = old.Close()
		}
		box, err := l.host.Park(l.ctx, limits)
		l.mu.Lock()
		l.coming--
		keep := err == nil && !l.closed
		if keep {
			l.parked = append(l.parked, space{limits, box})
		}
		l.mu.Unlock()
		if err == nil && !keep {
			_ = box.Close()
		}
	})
}

func (l *lot) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	l.work.Wait()
	for _, s := range l.parked {
		_ = s.box.Close()
	}
	l.parked = nil
}
