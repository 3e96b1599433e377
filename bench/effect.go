package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
)

const (
	effectsPerRun  = 21 // the last one has no successor to measure it by
	perRound       = effectsPerRun - 1
	floorsPerRound = perRound / 2 // of each of the two
	maxRuns        = 2000         // the capability's calls last for so many runs
)

// pipeline lists the executor's steps of one effect, each with what lasts until
// the next.
var pipeline = [...]struct{ name, work string }{
	{"authorise", "capability chain checked"},
	{"consult", "ledger looked up; register signed"},
	{"register", "register durable"},
	{"invoke", "module called, response checked"},
	{"receipt", "evidence, receipt and commit made and signed"},
	{"commit", "commit durable"},
	{"committed", "back to the program; next effect, request made"},
}

// effects is what was measured of durable effects and of their floor.
type effects struct {
	register, commit int // bytes that one effect makes durable
	effect           []float64
	steps            [len(pipeline)][]float64
	floor            [2][]parts // appended; in place

	ratio [2][2][]float64 // for each round: by floor, then whole or without the call
}

// benchEffects writes what a durable effect costs beside its floor.
func benchEffects(ctx context.Context, w io.Writer, rounds int) (claims []claim, err error) {
	dir, err := os.MkdirTemp(".", "work-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := newScene(ctx, dir, effectsPerRun)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	e, err := measureEffects(ctx, s, rounds)
	if err != nil {
		return nil, err
	}
	effectTables(w, e, fileSystem(dir))
	return []claim{
		{"durable effect: its floor, appended", atMost, 1.5, times, spreadOf(e.ratio[0][0])},
		{"durable effect: its floor, in place", atMost, 1.5, times, spreadOf(e.ratio[1][0])},
	}, nil
}

// measureEffects alternates a run of many effects with as many floors.
func measureEffects(ctx context.Context, s *scene, rounds int) (*effects, error) {
	first, err := s.run(ctx) // compiles the module
	if err != nil {
		return nil, err
	}
	f, err := newFloor(ctx, s, first.Effects[0])
	if err != nil {
		return nil, err
	}
	e := &effects{register: len(f.register), commit: len(f.commit)}
	for round := range rounds {
		turns := []func(context.Context, *scene, *floor) error{e.runOnce, e.floorOnce}
		for k := range turns {
			if err := turns[(k+round)%2](ctx, s, f); err != nil {
				return nil, err
			}
		}
		e.pair()
	}
	return e, nil
}

// runOnce adds the effects of one run: each from its authorise step to the
// next one's, so all that recurs is in and what a run does once is not.
func (e *effects) runOnce(ctx context.Context, s *scene, _ *floor) error {
	res, err := s.run(ctx)
	if err != nil {
		return err
	}
	if res.Outcome.ErrorCode != "" || len(res.Effects) != effectsPerRun {
		return fmt.Errorf("the run ended with %q after %d effects", res.Outcome.ErrorCode, len(res.Effects))
	}
	steps := s.steps
	for len(steps) > 0 && steps[0].name != pipeline[0].name {
		steps = steps[1:]
	}
	for range perRound {
		if len(steps) <= len(pipeline) {
			return errors.New("the executor reported too few steps")
		}
		for i, p := range pipeline {
			if steps[i].name != p.name {
				return fmt.Errorf("step %q where %q is due", steps[i].name, p.name)
			}
			e.steps[i] = append(e.steps[i], float64(steps[i+1].at.Sub(steps[i].at)))
		}
		e.effect = append(e.effect, float64(steps[len(pipeline)].at.Sub(steps[0].at)))
		steps = steps[len(pipeline):]
	}
	return nil
}

// floorOnce adds floors, every other one in place.
func (e *effects) floorOnce(ctx context.Context, _ *scene, f *floor) error {
	for i := range 2 * floorsPerRound {
		p, err := f.once(ctx, [2]*os.File{f.log, f.block}[i%2])
		if err != nil {
			return err
		}
		e.floor[i%2] = append(e.floor[i%2], p)
	}
	return nil
}

// pair compares the medians of the round that has just ended.
func (e *effects) pair() {
	from := len(e.effect) - perRound
	whole, around := e.effect[from:], make([]float64, perRound)
	for i, v := range whole {
		around[i] = v - e.steps[invokeStep][from+i]
	}
	for i, all := range e.floor {
		last := all[len(all)-floorsPerRound:]
		median := func(of func(parts) float64) float64 { return spreadOf(each(last, of)).median }
		rest := median(partRegister) + median(partSign) + median(partCommit)
		e.ratio[i][0] = append(e.ratio[i][0], spreadOf(whole).median/(rest+median(partCall)))
		e.ratio[i][1] = append(e.ratio[i][1], spreadOf(around).median/rest)
	}
}

const invokeStep = 3 // in pipeline

func partRegister(p parts) float64 { return p.register }
func partCall(p parts) float64     { return p.call }
func partSign(p parts) float64     { return p.sign }
func partCommit(p parts) float64   { return p.commit }

func decodeEvidence(raw []byte, x *evidence.EffectEvidence) error {
	r := can.NewReader(raw)
	x.ReadCAN(&r)
	return r.Done()
}

// effectTables writes the effect beside its floor, and its steps.
func effectTables(w io.Writer, e *effects, disk string) {
	fmt.Fprintf(w, effectNotes, e.register, e.commit, disk)
	row := func(name string, sample []float64) []string {
		t := spreadOf(sample)
		return []string{name, duration(t.median), duration(t.low) + " .. " + duration(t.high)}
	}
	rows := [][]string{
		row("register's bytes appended, synced", each(e.floor[0], partRegister)),
		row("commit's bytes appended, synced", each(e.floor[0], partCommit)),
		row("register's bytes in place, synced", each(e.floor[1], partRegister)),
		row("commit's bytes in place, synced", each(e.floor[1], partCommit)),
		row("three Ed25519 signatures", each(slices.Concat(e.floor[:]...), partSign)),
		row("bare call of the module", each(slices.Concat(e.floor[:]...), partCall)),
		row("effect, all of it", e.effect),
	}
	writeTable(w, []string{"one effect, and the parts of its floor", "median", "p10 .. p90"}, rows)
	rows = [][]string{
		{"appended to a file that grows", ratio(spreadOf(e.ratio[0][0])), ratio(spreadOf(e.ratio[0][1]))},
		{"in place, in a file that has its bytes", ratio(spreadOf(e.ratio[1][0])), ratio(spreadOf(e.ratio[1][1]))},
	}
	writeTable(w, []string{"effect : floor, by round (p10 .. p90)", "whole", "without the module's call"}, rows)
	rows = nil
	for i, p := range pipeline {
		rows = append(rows, row(p.name+": "+p.work, e.steps[i]))
	}
	writeTable(w, []string{"where the effect's time goes", "median", "p10 .. p90"}, rows)
}

const effectNotes = `
## Durable effect: demo-001's echo

One effect makes %d bytes durable with its register and %d with its commit, on %s.
Every round alternates a run of 21 effects through the executor, the SQLite ledger and the wasm
runner, under a fresh run id, with 20 floors, half of them in place. An effect lasts from its
authorise step to the next effect's, so a run's own record and seal are left out. The floor
writes the same bytes to a file and syncs it (fdatasync on Linux) twice, signs three times, and
calls the same module with the same request through the same runner; it is the sum of the
round's medians. Bytes appended make the file longer, which the sync must record too; written
in place they do not, which is the least that a disk can do.
`
