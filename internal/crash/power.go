package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mythos-run/mythos/internal/crash/trace"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// powerCuts is at how many moments the power is cut in each recording.
const powerCuts = 150

// cuts is what cutting the power at many moments showed.
type cuts struct {
	moments, acknowledged, lost int
	broken                      []string // why a ledger could not be opened, or read
}

// power cuts the power of the embedded journal in thought: it records what an
// executor writes and syncs, and rebuilds the disk as it may be at any moment.
func (h *harness) power(ctx context.Context) error {
	events, dir, err := h.record(ctx)
	if err != nil {
		return err
	}
	c, err := h.cut(ctx, events, dir)
	if err != nil {
		return err
	}
	h.say("%d calls recorded, power cut at %d moments: %d acknowledged commits looked for, %d lost, %d ledgers unreadable",
		len(events), c.moments, c.acknowledged, c.lost, len(c.broken))
	if c.lost > 0 || len(c.broken) > 0 || c.acknowledged == 0 {
		return fmt.Errorf("a power loss took %d acknowledged commits; %s", c.lost, strings.Join(c.broken, "; "))
	}
	return nil
}

// unsynced is the negative control of the power rig: the same executor on a disk
// whose syncs, but for each thread's first ones, do nothing.
func (h *harness) unsynced(ctx context.Context) (found string, err error) {
	events, dir, err := h.record(ctx, "fsync,fdatasync:retval=0:when=10+")
	if err != nil {
		return "", err
	}
	c, err := h.cut(ctx, events, dir)
	if err != nil || c.lost == 0 {
		return "", err
	}
	return fmt.Sprintf("%d of %d acknowledged commits lost at %d moments", c.lost, c.acknowledged, c.moments), nil
}

// record runs two executors on one ledger, one after the other, and returns what
// they did and the folder of the ledger.
func (h *harness) record(ctx context.Context, inject ...string) (events []trace.Event, dir string, err error) {
	if h.strace == "" {
		return nil, "", errors.New("strace is not installed")
	}
	w, err := h.world(ctx, false, false)
	if err != nil {
		return nil, "", err
	}
	dir = w.ledgerDir("power")
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, "", err
	}
	for i := range 2 {
		o := Order{Ledger: dir, Boot: true, NoWait: true, Callers: 6, New: 45, Prefix: fmt.Sprint("p", i), Shift: time.Duration(i) * time.Minute}
		part, _, err := h.traced(w, o, inject...)
		if err != nil {
			return nil, "", err
		}
		events = append(events, part...)
	}
	return events, dir, nil
}

// traced runs an order to its end under strace and returns its calls and what it said.
func (h *harness) traced(w *World, o Order, inject ...string) ([]trace.Event, []string, error) {
	out := filepath.Join(w.Dir, "trace")
	p, err := w.start(append([]string{h.strace}, trace.Args(out, inject...)...)...)
	if err != nil {
		return nil, nil, err
	}
	if err := p.tell(o); err != nil {
		return nil, nil, err
	}
	lines, err := p.finish()
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(out)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	events, err := trace.Parse(f)
	return events, lines, err
}

// cut rebuilds the ledger at many moments and looks for what was acknowledged by
// then.
func (h *harness) cut(ctx context.Context, events []trace.Event, dir string) (cuts, error) {
	var c cuts
	random := rand.New(rand.NewPCG(h.seed, 7))
	moments := map[int]bool{len(events): true}
	for range powerCuts {
		moments[random.IntN(len(events))] = true
	}
	disk := trace.NewDisk(dir)
	acked := map[string]string{} // receipts by id
	for i := range len(events) + 1 {
		if moments[i] {
			c.moments++
			c.acknowledged += len(acked)
			if err := h.after(ctx, disk, trace.Loss(c.moments%3), random, acked, &c); err != nil {
				return c, err
			}
		}
		if i == len(events) {
			break
		}
		if f := strings.Fields(string(events[i].Data)); events[i].Kind == trace.Said && len(f) == 3 && f[0] == "C" {
			acked[f[1]] = f[2]
		}
		disk.Play(events[i])
	}
	return c, nil
}

// after looks at what is left of a ledger after one power loss.
func (h *harness) after(ctx context.Context, disk *trace.Disk, loss trace.Loss, random *rand.Rand, acked map[string]string, c *cuts) error {
	dir, err := os.MkdirTemp(h.dir, "power")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := disk.Rebuild(dir, loss, random); err != nil {
		return err
	}
	lost, err := missing(ctx, dir, acked)
	c.lost += lost
	if err != nil {
		c.broken = append(c.broken, err.Error())
	}
	return nil
}

// missing counts the acknowledged receipts that a ledger does not have. One that
// cannot be opened has none of them.
func missing(ctx context.Context, dir string, acked map[string]string) (int, error) {
	log, err := journal.Open(ctx, journal.Options{Dir: dir, Clock: time.Now, Signer: keys().executor})
	if err != nil {
		return len(acked), err
	}
	defer log.Close()
	states, _, err := fold(ctx, log)
	if err != nil {
		return len(acked), err
	}
	lost := len(acked)
	for id, s := range states {
		want, ok := acked[id.Hex()]
		if !ok || s.Phase != ledger.Committed || s.Commit.ReceiptID.Hex() != want {
			continue
		}
		if _, err := log.Receipt(ctx, s.Commit.ReceiptID); err == nil {
			lost--
		}
	}
	return lost, nil
}
