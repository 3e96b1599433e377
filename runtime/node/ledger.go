package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/postgres"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// LedgerOptions says how to open the ledger.
type LedgerOptions struct {
	NoWait bool
	OnWait func(holder string)
}

// Ledger opens the ledger for writing, the executor's key signing its checkpoints;
// the caller closes it. It is this node's own, or the one in the database that
// Settings name, which executors share.
func (n *Node) Ledger(ctx context.Context, o LedgerOptions) (ledger.Log, error) {
	if n.Settings.Ledger == "" {
		s, err := n.EmbeddedLedger(ctx, o)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	s, err := n.SharedLedger(ctx, n.Settings.Ledger, o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// EmbeddedLedger opens this node's own ledger for writing.
func (n *Node) EmbeddedLedger(ctx context.Context, o LedgerOptions) (*journal.SQLite, error) {
	key, err := n.ExecutorKey()
	if err != nil {
		return nil, err
	}
	return journal.Open(ctx, journal.Options{
		Dir: n.ledgerDir(), Clock: n.Clock, Boot: journal.HostBoot(), Signer: key, NoWait: o.NoWait, OnWait: o.OnWait,
	})
}

// SharedLedger opens the ledger in the database at an address for writing. From then
// on collection keeps what it names.
func (n *Node) SharedLedger(ctx context.Context, address string, o LedgerOptions) (*postgres.Store, error) {
	key, err := n.ExecutorKey()
	if err != nil {
		return nil, err
	}
	p := n.database(address)
	p.Signer = key
	if o.OnWait != nil {
		p.OnReconnect = func(error) { o.OnWait("the connection to " + postgres.Redacted(address) + " was lost") }
	}
	if o.NoWait {
		p.Patience = 1 // one more try, for a connection that was lost long ago
	}
	s, err := postgres.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := n.noteLedger(ctx, address); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (n *Node) database(address string) postgres.Options {
	o := postgres.Options{URL: address}
	if n.Settings.LedgerPasswordFile != "" {
		o.Password = postgres.PasswordFile(n.Settings.LedgerPasswordFile)
	}
	return o
}

// ReadLedger opens the ledger for reading; the caller closes it.
func (n *Node) ReadLedger() (ledger.Log, error) {
	if n.Settings.Ledger != "" {
		o := n.database(n.Settings.Ledger)
		o.ReadOnly = true
		s, err := postgres.Open(context.Background(), o) // its own patience bounds it
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	s, err := n.OwnLedger()
	if err != nil {
		return nil, err
	}
	return s, nil
}

// OwnLedger opens this node's own ledger for reading.
func (n *Node) OwnLedger() (*journal.SQLite, error) {
	return journal.OpenReadOnly(journal.Options{Dir: n.ledgerDir(), Clock: n.Clock, Boot: journal.HostBoot()})
}

// RestoreLedger makes a copy of src this node's own ledger. It returns the folder
// into which the one that was there was moved, if any.
func (n *Node) RestoreLedger(ctx context.Context, src *journal.SQLite, o LedgerOptions, r journal.RestoreOptions) (aside string, err error) {
	return journal.Restore(ctx, journal.Options{Dir: n.ledgerDir(), Clock: n.Clock, NoWait: o.NoWait, OnWait: o.OnWait}, src, r)
}

// LedgerID returns the id that a ledger constraint names (RFC-MYTHOS-0008 §4): the
// hash of the log's first leaf, which no other log has; zero while it is empty.
func LedgerID(ctx context.Context, log ledger.Log) (cid.Hash, error) {
	for rec, err := range log.Entries(ctx, 0) {
		if err != nil {
			return cid.Hash{}, err
		}
		return new(ledger.LeafHasher).Hash(rec.Index, rec.Kind, rec.Body), nil
	}
	return cid.Hash{}, nil
}

// HasLedger reports whether there is a ledger to read: the first run makes it. One
// in a database is there, or reading it says why not.
func (n *Node) HasLedger() bool {
	if n.Settings.Ledger != "" {
		return true
	}
	_, err := os.Stat(filepath.Join(n.ledgerDir(), "ledger.db"))
	return !isMissing(err)
}

func (n *Node) ledgerDir() string { return filepath.Join(n.Paths.Data, "ledger") }
