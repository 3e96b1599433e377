package local

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// repair replaces what is damaged by good copies. A damaged file or frame is
// given up only for bytes that have its hash and are durable.
func (v *verification) repair(ctx context.Context) (err error) {
	if len(v.out.Damaged) == 0 {
		return nil
	}
	unlock, err := v.s.alone(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := v.s.writer.giveUp(); err != nil {
		return err
	}
	packs := map[string][]*Damage{}
	for i := range v.out.Damaged {
		d := &v.out.Damaged[i]
		switch {
		case d.index:
			if err := os.Remove(d.Path); ignoreMissing(err) != nil {
				return err
			}
			d.Repaired = true
		case filepath.Dir(d.Path) == v.s.packs.dir:
			packs[d.Path] = append(packs[d.Path], d)
		default:
			if err := v.repairFile(ctx, d); err != nil {
				return err
			}
		}
	}
	for path, list := range packs {
		if err := v.repairPack(ctx, path, list); err != nil {
			return err
		}
	}
	v.s.packs.drop()
	for _, d := range v.out.Damaged {
		if d.Repaired {
			v.out.Repaired++
		}
	}
	return nil
}

// maxRepaired bounds the size in bytes that a source may give an object: it is not
// known here, and the disk would be filled before the hash tells a lie.
const maxRepaired = 5 << 30

// failedFetch keeps the reason why there is no good copy. No source ends the repair,
// not by a size for which there is no space either: the next object may have another.
func (d *Damage) failedFetch(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	d.fetch = err
	d.Problem += "; no good copy: " + err.Error()
	return nil
}

// repairFile replaces a damaged file.
func (v *verification) repairFile(ctx context.Context, d *Damage) error {
	r, size, err := v.o.Repair.Open(ctx, d.CID)
	if err != nil {
		return d.failedFetch(ctx, err)
	}
	defer r.Close()
	if size > maxRepaired {
		return d.failedFetch(ctx, fault.New(cas.ErrTooLarge, "it is said to have %d bytes, at most %d", size, int64(maxRepaired)).About(d.CID.String()))
	}
	f, err := v.s.stage(v.s.session, content{size, nil, func(w io.Writer) error { return receiveAny(ctx, w, r, d.CID, size) }})
	if err != nil {
		return d.failedFetch(ctx, v.s.object("repair", d.CID, err))
	}
	if err := v.s.settle(f); err != nil {
		return v.s.object("repair", d.CID, err)
	}
	if err := v.removeOddity(d.Path); err != nil {
		return errors.Join(v.s.object("repair", d.CID, err), os.Remove(f.Name()))
	}
	if err := v.s.place(f.Name(), d.CID); err != nil {
		return v.s.object("repair", d.CID, err)
	}
	d.Repaired = true
	return v.s.object("repair", d.CID, v.s.syncDirOf(d.CID))
}

// removeOddity removes what no rename replaces: an empty directory.
func (v *verification) removeOddity(path string) error {
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		return os.Remove(path)
	}
	return nil
}

// receiveAny is cas.Receive for a source that may not know the size.
func receiveAny(ctx context.Context, w io.Writer, r io.Reader, want cid.Hash, size int64) error {
	if size >= 0 {
		return cas.Receive(ctx, w, r, want, size)
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(r, maxRepaired)); err != nil {
		return &cas.SourceError{Err: err}
	}
	if got := cid.Hash(sum.Sum(nil)); got != want {
		return fault.New(cas.ErrMismatch, "the bytes offered hash to %s", got).About(want.String())
	}
	return nil
}

// repairPack writes the pack anew if good bytes of everything that is damaged in
// it are at hand; otherwise it stores those that are beside it.
func (v *verification) repairPack(ctx context.Context, path string, list []*Damage) error {
	good := map[int64][]byte{}
	for _, d := range list {
		b, ok, err := v.goodBytes(ctx, d)
		if err != nil {
			return err
		}
		if ok {
			good[d.Offset] = b
			d.Repaired = true
		}
	}
	all := !slices.ContainsFunc(list, func(d *Damage) bool { return !d.Repaired })
	f, err := lockPack(path)
	if err != nil {
		return err
	}
	if f != nil {
		defer f.Close()
	}
	if f != nil && all {
		return v.rewritePack(path, f, good)
	}
	for _, d := range list {
		if d.Repaired && !d.CID.IsZero() {
			if err := v.putBeside(d, good[d.Offset]); err != nil {
				return err
			}
		}
		if f == nil {
			d.Problem += "; its pack is in use, repair again when it is not"
		}
		d.Repaired = false
	}
	return nil
}

// putBeside stores a good copy in another pack.
func (v *verification) putBeside(d *Damage, b []byte) error {
	x, err := v.s.look(d.CID)
	if err != nil {
		return err
	}
	if _, err := v.s.tryCopies(d.CID, smallLimit, x); err == nil {
		return nil // there is one
	}
	return v.s.object("repair", d.CID, v.s.writer.doAlways(d.CID, b))
}

// goodBytes returns the bytes of a damaged object: its own, if only the header is
// wrong, or the source's. Frames without an object need none.
func (v *verification) goodBytes(ctx context.Context, d *Damage) ([]byte, bool, error) {
	if d.CID.IsZero() {
		return nil, d.header, nil
	}
	if x, err := v.s.look(d.CID); err == nil {
		if b, err := v.s.tryCopies(d.CID, smallLimit, x); err == nil {
			return b, true, nil
		}
	}
	r, size, err := v.o.Repair.Open(ctx, d.CID)
	if err != nil {
		return nil, false, d.failedFetch(ctx, err)
	}
	defer r.Close()
	var b limitedBuffer
	if err := receiveAny(ctx, &b, io.LimitReader(r, smallLimit), d.CID, size); err != nil {
		return nil, false, d.failedFetch(ctx, err)
	}
	return b.b, true, nil
}

// limitedBuffer takes a small object and no more.
type limitedBuffer struct{ b []byte }

func (l *limitedBuffer) Write(p []byte) (int, error) {
	if len(l.b)+len(p) >= smallLimit {
		return 0, fault.New(cas.ErrMismatch, "more than a small object")
	}
	l.b = append(l.b, p...)
	return len(p), nil
}

// rewritePack replaces a damaged pack by one in which everything is sound.
func (v *verification) rewritePack(path string, f *os.File, good map[int64][]byte) error {
	name := path[len(v.s.packs.dir)+1 : len(path)-len(packSuffix)]
	end, err := recoverPack(f, name, v.s.packs.dir)
	if err != nil {
		return err
	}
	r, err := v.s.newRewriter()
	if err != nil {
		return err
	}
	m := markerOf(name)
	s, err := walk(f, m, int64(len(packHead)), end, func(off int64, x frame) error {
		if x.kind != kindObject {
			if x.kind == kindRenewal {
				return r.add(x, nil)
			}
			return nil
		}
		b, ok := good[off]
		if !ok {
			b = make([]byte, x.length)
			if _, err := f.ReadAt(b, off+headerSize); err != nil && len(b) > 0 {
				return err
			}
		}
		return r.add(x, b)
	})
	for _, at := range s.lost {
		if b := good[at.from]; err == nil && b != nil {
			err = r.add(frame{kind: kindObject, hash: cid.Sum(b), time: v.s.now().Unix()}, b)
		}
	}
	if err == nil {
		err = r.sync()
	}
	if err != nil {
		return errors.Join(err, r.drop())
	}
	unlock, err := v.s.lockStore(true)
	if err != nil {
		return errors.Join(err, r.drop())
	}
	defer unlock()
	return r.swap(&packFile{name: name, path: path})
}
