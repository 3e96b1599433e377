package executor

import (
	"context"
	"sync"

	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// maxChains bounds how many verified chains an executor remembers: at 16 KiB each
// they take 16 MiB, twice that with what is decoded of them.
const maxChains = 1024

// chainKey is what a verified chain is remembered under (RFC-MYTHOS-0008 §3).
type chainKey struct {
	proof cid.Hash // SHA-256 of its bytes
	epoch cid.Hash // of the trust
}

// chainCache remembers chains whose signatures were verified. What a use depends
// on, time, trust, revocation and spending among it, is decided for each use. The
// zero value is empty and safe for concurrent use.
type chainCache struct {
	mu   sync.Mutex
	held map[chainKey]caps.Verified
	// order holds the keys in a ring, oldest at next once it is full.
	order []chainKey
	next  int
}

// verify returns the chain with its signatures verified. A refused one is not
// remembered: to refuse it again costs no more than to remember it would.
func (c *chainCache) verify(p *caps.Chain, epoch cid.Hash) (caps.Verified, error) {
	key := chainKey{cid.Sum(p.Raw()), epoch}
	c.mu.Lock()
	v, ok := c.held[key]
	c.mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := p.Verify()
	if err == nil {
		c.keep(key, v)
	}
	return v, err
}

// keep remembers a chain, and forgets the oldest if there are too many.
func (c *chainCache) keep(key chainKey, v caps.Verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = map[chainKey]caps.Verified{}
	}
	if _, ok := c.held[key]; ok {
		return
	}
	c.held[key] = v
	if len(c.order) < maxChains {
		c.order = append(c.order, key)
		return
	}
	delete(c.held, c.order[c.next])
	c.order[c.next] = key
	c.next = (c.next + 1) % maxChains
}

// ledgerName is the ledger's id, asked for until there is one. The zero value is
// ready and safe for concurrent use.
type ledgerName struct {
	mu sync.Mutex
	id cid.Hash
}

// ledgerID returns the id of the ledger, zero if it has none.
func (e *Executor) ledgerID(ctx context.Context) (cid.Hash, error) {
	if e.LedgerID == nil {
		return cid.Hash{}, nil
	}
	e.named.mu.Lock()
	defer e.named.mu.Unlock()
	if !e.named.id.IsZero() {
		return e.named.id, nil
	}
	id, err := e.LedgerID(ctx)
	if err == nil {
		e.named.id = id
	}
	return id, err
}
