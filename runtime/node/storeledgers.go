package node

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/journal/postgres"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// ErrLedgers is the code of a list of ledgers that is damaged.
const ErrLedgers fault.Code = "ledgers_file"

const (
	ledgersSchema = "mythos.ledgers/1"
	maxLedgers    = 1 << 20 // bytes of the list
)

// usedLedgers is the list of the ledgers in databases that this node has written:
// their entries may name objects of its store.
type usedLedgers struct {
	Schema  string       `json:"schema"`
	Ledgers []usedLedger `json:"ledgers"`
}

type usedLedger struct {
	Address      string `json:"address"`       // without a password
	PasswordFile string `json:"password_file"` // "": what libpq uses
}

func (n *Node) usedPath() string { return filepath.Join(n.Paths.Data, "ledgers.json") }

func (n *Node) usedLedgers() ([]usedLedger, error) {
	path := n.usedPath()
	raw, err := readFile(path, maxLedgers)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var x usedLedgers
	if json.Unmarshal(raw, &x) != nil || x.Schema != ledgersSchema {
		return nil, fault.New(ErrLedgers, "it is not what was written").About(path)
	}
	return x.Ledgers, nil
}

// changeUsed changes the list unless change reports that there is nothing to do.
func (n *Node) changeUsed(ctx context.Context, change func([]usedLedger) ([]usedLedger, bool)) (changed bool, err error) {
	path := n.usedPath()
	lock, err := lockOwn(ctx, path)
	if err != nil {
		return false, err
	}
	defer lock.Close()
	list, err := n.usedLedgers()
	if err != nil {
		return false, err
	}
	list, changed = change(list)
	if !changed {
		return false, nil
	}
	raw, err := json.MarshalIndent(usedLedgers{ledgersSchema, list}, "", "  ")
	if err != nil {
		return false, err
	}
	if len(raw) >= maxLedgers {
		return false, fault.New(ErrLedgers, "%d ledgers are too many", len(list)).About(path)
	}
	return true, pathError(path, atomicfile.Write(path, append(raw, '\n'), 0o600))
}

// noteLedger remembers that what the ledger at an address names may be in this node's
// store. The address was checked: it holds no password.
func (n *Node) noteLedger(ctx context.Context, address string) error {
	x := usedLedger{address, n.Settings.LedgerPasswordFile}
	list, err := n.usedLedgers()
	if err != nil || slices.Contains(list, x) { // without the lock: most often there is nothing to do
		return err
	}
	_, err = n.changeUsed(ctx, func(list []usedLedger) ([]usedLedger, bool) {
		rest := slices.DeleteFunc(list, func(y usedLedger) bool { return y.Address == address })
		return append(rest, x), true
	})
	return err
}

// ForgetLedger makes collection remove what only the ledger at an address names. The
// address may lack user and settings. It reports whether the store was used with it.
func (n *Node) ForgetLedger(ctx context.Context, address string) (bool, error) {
	return n.changeUsed(ctx, func(list []usedLedger) ([]usedLedger, bool) {
		rest := slices.DeleteFunc(slices.Clone(list), func(x usedLedger) bool {
			return x.Address == address || postgres.Redacted(x.Address) == address
		})
		return rest, len(rest) < len(list)
	})
}

// openLedger is a ledger that collection reads.
type openLedger struct {
	log ledger.Log
	// forget is the address by which it can be forgotten; "" for one that cannot.
	forget string
}

// unread is the error of a ledger that cannot be read whole.
func (x openLedger) unread(err error) error {
	code := fault.CodeOf(err)
	if x.forget == "" || code == "" {
		return err
	}
	return fault.New(code, "this store was used with it, so nothing is removed; if it is gone for good, type \"mythos store gc --forget-ledger %s\": %w", x.forget, err).About(x.forget)
}

// ledgers opens every ledger that may name objects of the store: this node's own,
// that of the settings, and those that it has written. The caller closes them.
func (n *Node) ledgers() (list []openLedger, err error) {
	defer func() {
		if err != nil {
			for _, x := range list {
				err = errors.Join(err, x.log.Close())
			}
		}
	}()
	own, err := n.ownLedgerThere()
	if err != nil {
		return list, err
	}
	if own {
		log, err := n.OwnLedger()
		if err != nil {
			return list, err
		}
		list = append(list, openLedger{log: log})
	}
	if n.Settings.Ledger != "" {
		log, err := n.ReadLedger()
		if err != nil {
			return list, err
		}
		list = append(list, openLedger{log: log})
	}
	used, err := n.usedLedgers()
	if err != nil {
		return list, err
	}
	for _, u := range used {
		if u.Address == n.Settings.Ledger {
			continue
		}
		x := openLedger{forget: postgres.Redacted(u.Address)}
		if x.log, err = readUsed(u); err != nil {
			return list, x.unread(err)
		}
		list = append(list, x)
	}
	return list, nil
}

// readUsed opens a ledger with the password that it was used with.
func readUsed(u usedLedger) (ledger.Log, error) {
	o := postgres.Options{URL: u.Address, ReadOnly: true}
	if u.PasswordFile != "" {
		o.Password = postgres.PasswordFile(u.PasswordFile)
	}
	s, err := postgres.Open(context.Background(), o) // its own patience bounds it
	if err != nil {
		return nil, err
	}
	return s, nil
}

// ownLedgerThere reports whether this node has a ledger of its own. It fails if the
// entries of one may be where a restore that did not end has moved them.
func (n *Node) ownLedgerThere() (there bool, err error) {
	dir := n.ledgerDir()
	entries, err := os.ReadDir(dir)
	if isMissing(err) {
		return false, nil
	}
	if err != nil {
		return false, pathError(dir, err)
	}
	aside := ""
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "ledger.db":
			there = true
		case name == "ledger.restore":
			return false, fault.New(journal.ErrUnavailable,
				"a restore was interrupted, and entries may be in the folders replaced-* beside it, so nothing is removed; restore again").About(filepath.Join(dir, "ledger.db"))
		case strings.HasPrefix(name, "replaced-"), strings.HasPrefix(name, "ledger.db-"):
			aside = name
		}
	}
	if !there && aside != "" {
		return false, fault.New(journal.ErrUnavailable,
			"it is missing, and its entries may be in %s, so nothing is removed; put it back, or restore it", aside).About(filepath.Join(dir, "ledger.db"))
	}
	return there, nil
}
