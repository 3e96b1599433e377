package node

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// Revocation lists (RFC-MYTHOS-0008 §7) are kept in the folder revocations of the
// data folder, one file for each issuer, KEYID.list: the list that was accepted
// last, whose seq and id are the mark below which no other is accepted.

func (n *Node) revocationsDir() string { return filepath.Join(n.Paths.Data, "revocations") }

func (n *Node) revocationsPath(issuer sig.AgentID) string {
	return filepath.Join(n.revocationsDir(), issuer.KeyID().Hex()+listSuffix)
}

const listSuffix = ".list"

// AddRevocations accepts a revocation list, given as its canonical bytes, and keeps
// it. A list that is older than the one of its issuer that was accepted last, or that
// contradicts it, is refused with caps.ErrRevocationSeq. fresh is false if this very
// list was kept already.
func (n *Node) AddRevocations(ctx context.Context, raw []byte) (list *caps.RevocationList, fresh bool, err error) {
	if list, err = caps.OpenRevocations(raw); err != nil {
		return nil, false, err
	}
	lock, err := lockFile(ctx, n.revocationsDir()+".lock")
	if err != nil {
		return nil, false, err
	}
	defer lock.Close()
	last, err := n.RevocationsOf(list.Issuer())
	if err != nil {
		return nil, false, err
	}
	var mark *caps.Mark
	if last != nil {
		m := last.Mark()
		mark = &m
	}
	if err := list.Follows(mark); err != nil {
		return nil, false, err
	}
	if mark != nil && *mark == list.Mark() {
		return list, false, nil
	}
	if err := atomicfile.MkdirAll(n.revocationsDir(), 0o700); err != nil {
		return nil, false, pathError(n.revocationsDir(), err)
	}
	path := n.revocationsPath(list.Issuer())
	return list, true, pathError(path, atomicfile.Write(path, raw, 0o600))
}

// RevocationsOf returns the list of an issuer that was accepted last, nil if there
// is none. It is an error if the file is there and does not hold that.
func (n *Node) RevocationsOf(issuer sig.AgentID) (*caps.RevocationList, error) {
	path := n.revocationsPath(issuer)
	raw, err := readFile(path, caps.MaxRevocationList)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := caps.OpenRevocations(raw)
	if err == nil && !list.Issuer().Equal(issuer) {
		err = fault.New(caps.ErrRevocationList, "it is of issuer %s", list.Issuer().KeyID())
	}
	if err != nil {
		return nil, under(path, err)
	}
	return list, nil
}

// Revocations returns every list that was accepted last of its issuer, by key id.
func (n *Node) Revocations() ([]*caps.RevocationList, error) {
	names, err := os.ReadDir(n.revocationsDir())
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, pathError(n.revocationsDir(), err)
	}
	var lists []*caps.RevocationList
	for _, e := range names {
		stem, ok := strings.CutSuffix(e.Name(), listSuffix)
		if !ok || strings.HasPrefix(stem, ".") {
			continue
		}
		path := filepath.Join(n.revocationsDir(), e.Name())
		raw, err := readFile(path, caps.MaxRevocationList)
		if err != nil {
			return nil, err
		}
		l, err := caps.OpenRevocations(raw)
		if err != nil {
			return nil, under(path, err)
		}
		lists = append(lists, l)
	}
	slices.SortFunc(lists, func(a, b *caps.RevocationList) int { return a.Issuer().KeyID().Compare(b.Issuer().KeyID()) })
	return lists, nil
}

// revocationReader reads lists when they are first asked for, and again once
// anything in their folder has been replaced: what another process accepts counts
// for the next use. It is safe for concurrent use.
type revocationReader struct {
	node *Node

	mu    sync.Mutex
	stamp time.Time                         // when the folder last changed, as its file system says
	lists map[[32]byte]*caps.RevocationList // by key of the issuer; nil: it has none
}

// settled is how long ago a folder must have changed for its time to tell one
// change from the next: file systems count in ticks.
const settled = time.Second

// view returns what the lists are now, for one use.
func (r *revocationReader) view() func(sig.AgentID) (*caps.RevocationList, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	info, err := os.Stat(r.node.revocationsDir())
	switch {
	case isMissing(err):
		return func(sig.AgentID) (*caps.RevocationList, error) { return nil, nil }
	case err != nil:
		failed := pathError(r.node.revocationsDir(), err)
		return func(sig.AgentID) (*caps.RevocationList, error) { return nil, failed }
	}
	if at := info.ModTime(); r.lists == nil || !at.Equal(r.stamp) || time.Since(at) < settled {
		r.lists, r.stamp = map[[32]byte]*caps.RevocationList{}, at
	}
	return r.get
}

// get returns an issuer's list, nil if there is none.
func (r *revocationReader) get(issuer sig.AgentID) (*caps.RevocationList, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := r.lists[issuer.Key]; ok {
		return l, nil
	}
	l, err := r.node.RevocationsOf(issuer)
	if err == nil {
		r.lists[issuer.Key] = l
	}
	return l, err
}
