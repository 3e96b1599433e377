package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mythos-run/mythos/runtime/journal"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/node"
)

// ownLedgerFolder holds the files of this node's own ledger.
func ownLedgerFolder(n *node.Node) string { return filepath.Join(n.Paths.Data, "ledger") }

// backupPlace refuses a path at which no backup may be written, --force or not: what is
// there but is no file, and the folder of the ledger itself.
func backupPlace(n *node.Node, path string) error {
	if path == "-" {
		return usagef("a backup is verified as a file before it gets its name, so it cannot go to standard output: name a file")
	}
	if here, err := os.Stat(filepath.Dir(path)); err == nil {
		if own, err := os.Stat(ownLedgerFolder(n)); err == nil && os.SameFile(here, own) {
			return usagef("%s is among the ledger's own files: name a file elsewhere, best on another disk", path)
		}
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode().IsRegular() {
		return nil // what else is wrong is seen when it is written
	}
	what := "a device, pipe or socket"
	switch {
	case info.IsDir():
		what = "a folder"
	case info.Mode()&fs.ModeSymlink != 0:
		what = "a symbolic link"
	}
	err = fault.New(journal.ErrExists, "there is %s, which is never replaced", what).About(path)
	return &hinted{err, "Nothing was replaced. Name another file; --force replaces files only."}
}

// openBackup opens the file that a ledger is restored from.
func openBackup(n *node.Node, path string) (*journal.SQLite, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(ledger.ErrNoItem, "there is no such file").About(path)
	}
	if err == nil {
		for _, name := range []string{"ledger.db", "ledger.db-wal", "ledger.db-shm"} {
			if own, err := os.Stat(filepath.Join(ownLedgerFolder(n), name)); err == nil && os.SameFile(info, own) {
				return nil, usagef("%s is this node's own ledger, which is in its place: name a backup", path)
			}
		}
	}
	src, err := journal.OpenFile(path, journal.Options{Clock: n.Clock})
	if errors.Is(err, journal.ErrUnavailable) {
		return nil, &hinted{err, noBackupHint}
	}
	return src, aboutBackup(err)
}

const noBackupHint = "Name a file that \"mythos ledger backup\" wrote; this one is none, or it was damaged. Nothing was replaced."

// aboutBackup gives errors of a file that is no backup a hint that is not about the
// ledger.
func aboutBackup(err error) error {
	if errors.Is(err, ledger.ErrCorrupt) {
		return &hinted{err, noBackupHint}
	}
	return err
}
