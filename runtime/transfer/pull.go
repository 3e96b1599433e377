package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/closure"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

type puller struct {
	*copier
	from    *order
	to      cas.Store
	scratch scratch
}

// source reads what says what else there is: from the store or a pull that was cut
// off, if they have it.
func (p *puller) source(ctx context.Context, id cid.Hash, limit int64) ([]byte, error) {
	raw, err := p.to.Get(ctx, id, limit)
	switch {
	case errors.Is(err, cas.ErrNotFound):
		raw, err = p.parent(ctx, id, limit)
	case err == nil:
		p.scratch.done(id)
	}
	if err == nil && id == p.root {
		p.announce(raw)
	}
	return raw, err
}

func (p *puller) parent(ctx context.Context, id cid.Hash, limit int64) (raw []byte, err error) {
	if raw, ok := p.scratch.get(id, limit); ok {
		return raw, nil
	}
	err = p.each(ctx, id, limit, func(ctx context.Context, r Named) (err error) {
		raw, err = remote.Fetch(ctx, r, id, limit)
		return err
	})
	if err == nil {
		p.scratch.put(id, raw)
	}
	return raw, err
}

// each tries the remotes one after the other until one gives the object. If one
// broke off on the way, all are tried again.
func (p *puller) each(ctx context.Context, id cid.Hash, size int64, try func(context.Context, Named) error) error {
	return bucket.Retry(ctx, func() error { return p.round(ctx, id, size, try) })
}

func (p *puller) round(ctx context.Context, id cid.Hash, size int64, try func(context.Context, Named) error) error {
	var failures []error
	absent, again := true, false
	for _, i := range p.from.now() {
		r := p.from.list[i]
		err := p.timely(ctx, size, func(ctx context.Context) error { return try(ctx, r) })
		if err == nil || ctx.Err() != nil || ours(err) {
			return err
		}
		if !errors.Is(err, cas.ErrNotFound) {
			absent = false
			p.from.failed(i, err)
		}
		var a *bucket.Again
		again = again || errors.As(err, &a)
		failures = append(failures, fmt.Errorf("%s: %w", r.Name, err))
	}
	if absent {
		return fault.New(cas.ErrNotFound, "none of %d remotes has it", len(p.from.list)).About(id.String())
	}
	err := Failed(failures).About(id.String())
	if again {
		return &bucket.Again{Err: err}
	}
	return err
}

// Failed is the error of something that no remote gave, for the failures of each. Its
// code is ErrNoRemote, unless all of them denied it or all lied.
func Failed(failures []error) *fault.Error {
	code := ErrNoRemote
	for _, c := range []fault.Code{bucket.ErrDenied, remote.ErrLies} {
		if !slices.ContainsFunc(failures, func(err error) bool { return fault.CodeOf(err) != c }) {
			code = c
		}
	}
	return fault.New(code, "%w", errors.Join(failures...))
}

// storeError marks what the own store says, which no other remote can help.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

func ours(err error) bool {
	var e storeError
	return errors.As(err, &e)
}

func (p *puller) visit(o closure.Object) error {
	p.see(o)
	there, err := p.to.Has(p.ctx, o.CID)
	switch {
	case err != nil:
		return err
	case there:
		p.skipped(o.Size)
		return nil
	case o.Raw == nil:
		return p.start(func(ctx context.Context) error { return p.fetch(ctx, o) })
	}
	if err := p.barrier(); err != nil {
		return err
	}
	if _, err := p.to.Put(p.ctx, o.Raw); err != nil {
		return err
	}
	p.copied(o.Size)
	return nil
}

// fetch copies one object, which is verified before the store keeps it.
func (p *puller) fetch(ctx context.Context, o closure.Object) error {
	err := p.each(ctx, o.CID, o.Size, func(ctx context.Context, r Named) error {
		in, err := r.Get(ctx, o.CID, 0, -1)
		if err != nil {
			return err
		}
		err = p.to.PutFrom(ctx, in, o.CID, o.Size)
		if closed := in.Close(); err == nil && closed != nil {
			return nil // all bytes came and are right
		}
		return p.verdict(o, err)
	})
	if err == nil {
		p.copied(o.Size)
	}
	return err
}

// verdict tells a remote's faults from the own store's.
func (p *puller) verdict(o closure.Object, err error) error {
	var source *cas.SourceError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cas.ErrMismatch):
		return fault.New(remote.ErrLies, "other bytes came than the %d that hash to it", o.Size).About(o.CID.String())
	case errors.As(err, &source):
		return remote.BrokenOff(o.CID, source.Err)
	}
	return storeError{err}
}
