package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/runner"
)

// floor does only what no implementation of a durable effect can leave out: it
// writes the register's and the commit's bytes to a file and syncs after each,
// signs three times, and calls the module.
type floor struct {
	log              *os.File // grows with every append
	block            *os.File // has its bytes already: a sync has no length to write
	at               int64    // where the block is written next
	register, commit []byte   // what one effect of the ledger wrote
	key              sig.Key
	digest           cid.Hash
	engine           runner.Runner
	call             runner.Call
	response         cid.Hash
}

// newFloor takes its bytes and its call from an effect that a run left behind.
func newFloor(ctx context.Context, s *scene, e executor.Effect) (*floor, error) {
	rec, _, err := receipt.Open(e.Receipt)
	if err != nil {
		return nil, err
	}
	f := &floor{key: s.key, digest: rec.ReceiptID, engine: s.engine, response: rec.ResponseHash}
	if err := f.measureEntries(ctx, s, e, rec); err != nil {
		return nil, err
	}
	binding := &s.pkg.Manifest().Modules[0]
	module, err := s.pkg.Module(binding)
	if err != nil {
		return nil, err
	}
	request, err := s.ledger.Object(ctx, rec.RequestHash)
	if err != nil {
		return nil, err
	}
	f.call = runner.Call{Module: executor.Module(binding, module, s.pkg.ID()), Request: request, RequestHash: rec.RequestHash}
	return f, f.openFiles(s)
}

func (f *floor) openFiles(s *scene) error {
	for name, file := range map[string]**os.File{"log": &f.log, "block": &f.block} {
		var err error
		if *file, err = os.Create(filepath.Join(s.dir, "floor."+name)); err != nil {
			return err
		}
		s.later((*file).Close)
	}
	if _, err := f.block.Write(make([]byte, blockBytes)); err != nil {
		return err
	}
	return f.block.Sync()
}

const blockBytes = 16 << 20

// measureEntries finds how many bytes register and commit made durable.
func (f *floor) measureEntries(ctx context.Context, s *scene, e executor.Effect, rec receipt.Receipt) error {
	for r, err := range s.ledger.Records(ctx, ledger.Filter{Idem: &e.IdemID}) {
		switch {
		case err != nil:
			return err
		case r.Kind == ledger.KindRegister:
			f.register = r.Body
		case r.Kind == ledger.KindCommit:
			f.commit = append(f.commit, r.Body...)
		}
	}
	if len(f.register) == 0 || len(f.commit) == 0 || len(rec.Evidence) != 1 {
		return errors.New("the effect left no register, commit or evidence")
	}
	f.commit = append(f.commit, e.Receipt...)
	raw, err := s.ledger.Object(ctx, rec.Evidence[0])
	if err != nil {
		return err
	}
	var ev evidence.EffectEvidence
	if err := decodeEvidence(raw, &ev); err != nil {
		return err
	}
	kept := []cid.Hash{rec.RequestHash, rec.ResponseHash, rec.Evidence[0]}
	if ev.Stderr != nil {
		kept = append(kept, *ev.Stderr)
	}
	for _, id := range kept {
		b, err := s.ledger.Object(ctx, id)
		if err != nil {
			return err
		}
		f.commit = append(f.commit, b...)
	}
	return nil
}

// parts is what one floor took, in nanoseconds.
type parts struct{ register, call, sign, commit float64 }

// once performs the floor of one effect in an effect's order, writing to file.
func (f *floor) once(ctx context.Context, file *os.File) (p parts, err error) {
	var res runner.Result
	for _, part := range []struct {
		took *float64
		op   func() error
	}{
		{&p.register, func() error { return f.write(file, f.register) }},
		{&p.call, func() (err error) { res, err = f.engine.Run(ctx, f.call); return err }},
		{&p.sign, f.signThrice},
		{&p.commit, func() error { return f.write(file, f.commit) }},
	} {
		start := time.Now()
		if err := part.op(); err != nil {
			return p, err
		}
		*part.took = float64(time.Since(start))
	}
	if res.Outcome != runner.Answered || cid.Sum(res.Response) != f.response {
		return p, fmt.Errorf("the bare call ended as %s, or with another response", res.Outcome)
	}
	return p, nil
}

func (f *floor) signThrice() error {
	for range 3 {
		if _, err := f.key.Sign(f.digest); err != nil {
			return err
		}
	}
	return nil
}

// write writes b behind what was written last, in the block again from its
// start once it is full, and syncs.
func (f *floor) write(file *os.File, b []byte) error {
	if file == f.block {
		if f.at+int64(len(b)) > blockBytes {
			f.at = 0
		}
		if _, err := file.WriteAt(b, f.at); err != nil {
			return err
		}
		f.at += int64(len(b))
	} else if _, err := file.Write(b); err != nil {
		return err
	}
	return dataSync(file)
}
