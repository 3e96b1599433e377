package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// AddTrust adds an entry to the trust file and returns it as it stands there. One that
// is there already is not added again, and there is true. Of processes that change the
// file at the same moment each waits for the others, so that nothing is lost.
func (n *Node) AddTrust(ctx context.Context, e gate.TrustEntry) (stands gate.TrustEntry, there bool, err error) {
	_, err = n.changeTrust(ctx, func(t *gate.Trust) (*gate.Trust, error) {
		if stands, there = t.Find(e); there {
			return t, nil
		}
		out, err := t.With(e)
		if err == nil {
			all := out.Entries()
			stands = all[len(all)-1]
		}
		return out, err
	})
	return stands, there, err
}

// RotateTrust adds keys to the entry of a role that holds the key with an id, and
// returns that entry.
func (n *Node) RotateTrust(ctx context.Context, role sig.Role, of cid.Hash, keys []sig.AgentID) (e gate.TrustEntry, err error) {
	_, err = n.changeTrust(ctx, func(t *gate.Trust) (*gate.Trust, error) {
		out, at, err := t.WithKeys(role, of, keys)
		if err == nil {
			e = out.Entries()[at]
		}
		return out, err
	})
	return e, err
}

// RemoveTrust takes a key out of every entry of a role, or of all roles for "", and
// returns how many held it.
func (n *Node) RemoveTrust(ctx context.Context, role sig.Role, key cid.Hash) (held int, err error) {
	_, err = n.changeTrust(ctx, func(t *gate.Trust) (out *gate.Trust, err error) {
		out, held, err = t.Without(role, key)
		return out, err
	})
	return held, err
}

func (n *Node) changeTrust(ctx context.Context, change func(*gate.Trust) (*gate.Trust, error)) (*gate.Trust, error) {
	lock, err := lockFile(ctx, n.TrustPath()+".lock")
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	trust, err := n.Trust()
	if err != nil {
		return nil, err
	}
	if trust, err = change(trust); err != nil {
		return nil, err
	}
	return trust, trust.Save(n.TrustPath())
}

const lockPoll = 10 * time.Millisecond

// lockFile takes the lock on a file, making it and its folder; closing the file
// gives the lock back. The file stays: who removed it would let two others hold
// two locks.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	if err := atomicfile.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, unusableLock(path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unusableLock(path, err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(unusableLock(path, err), f.Close())
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		}
	}
}

func unusableLock(path string, err error) error {
	return fault.New(gate.ErrTrustUnreadable, "%w", cause(err)).About(path)
}
