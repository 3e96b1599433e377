package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// sample counts what the server's other connections at work wait for, until stop is
// called.
func (b *ledgerBench) sample(counts map[string]int) (stop func() error, err error) {
	conn, err := b.connect()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for failed == nil {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			rows, err := conn.Query(b.ctx, "SELECT state = 'active', coalesce(wait_event, 'processor') FROM pg_stat_activity WHERE backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()")
			if err != nil {
				failed = err
				return
			}
			for rows.Next() {
				var active bool
				var event string
				failed = errors.Join(failed, rows.Scan(&active, &event))
				if !active {
					event = "its client, in a transaction"
				}
				counts[event]++
			}
			failed = errors.Join(failed, rows.Err())
			counts[""]++
		}
	})
	return func() error {
		cancel()
		wg.Wait()
		return errors.Join(failed, conn.Close(b.ctx))
	}, nil
}

// waitTable writes how many connections were found in each state on average.
func (b *ledgerBench) waitTable(sides []*workflow) {
	all := map[string]int{}
	for _, s := range sides {
		for event, n := range s.waits {
			all[event] += n
		}
	}
	delete(all, "")
	events := slices.SortedFunc(maps.Keys(all), func(x, y string) int { return cmp.Or(cmp.Compare(all[y], all[x]), cmp.Compare(x, y)) })
	head := []string{"connections that wait for, on average, 16 callers"}
	for _, s := range sides {
		head = append(head, s.name)
	}
	var rows [][]string
	for _, event := range events[:min(len(events), 8)] {
		row := []string{event}
		for _, s := range sides {
			row = append(row, fmt.Sprintf("%.2f", float64(s.waits[event])/float64(max(s.waits[""], 1))))
		}
		rows = append(rows, row)
	}
	writeTable(b.w, head, rows)
}

// stepClock notes when an executor with one caller begins each step; it does
// nothing while it is off.
type stepClock struct {
	mu    sync.Mutex
	on    bool
	last  string
	since time.Time
	took  map[string][]float64 // nanoseconds from the beginning of a step to that of the next
	order []string
}

func (c *stepClock) note(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on {
		return
	}
	now := time.Now()
	if c.last != "" {
		if c.took[c.last] == nil {
			c.order = append(c.order, c.last)
		}
		c.took[c.last] = append(c.took[c.last], float64(now.Sub(c.since)))
	}
	c.last, c.since = name, now
}

// stepTable runs workflows one after the other and writes where their time goes.
func (b *ledgerBench) stepTable(s *workflow) error {
	c := &b.steps
	c.on, c.took = true, map[string][]float64{}
	defer func() { c.on = false }()
	const runs = 200
	for range runs {
		c.note("prepare: proofs verified, run record signed")
		if err := s.run(b.ctx, payloads.Add(1)); err != nil {
			return err
		}
		c.note("")
	}
	var rows [][]string
	for _, name := range c.order {
		t := spreadOf(c.took[name])
		rows = append(rows, []string{name, fmt.Sprintf("%.0f", float64(len(c.took[name]))/runs), duration(t.median), duration(t.low) + " .. " + duration(t.high)})
	}
	writeTable(b.w, []string{"a run at 1 caller, " + s.name, "times", "median", "p10 .. p90"}, rows)
	return nil
}
