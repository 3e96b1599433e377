package journal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ErrExists says that a file is there which a backup or a restored ledger would
// replace.
const ErrExists fault.Code = "ledger_exists"

// BackupOptions says how a copy is made.
type BackupOptions struct {
	Replace  bool                       // replace a file of that name
	Check    func(copied *SQLite) error // verifies the copy before it has its name; nil: nothing is verified
	Progress func(copied, total int)    // pages; may be nil
}

// OpenFile opens a ledger that is one file, such as a backup, for reading.
func OpenFile(path string, o Options) (*SQLite, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fault.New(ErrUnavailable, "a backup is a file, this is none").About(path)
	}
	return openReader(path, o)
}

// Backup writes the ledger as it is at one instant into a file, which is durable
// and verified before it has its name. Others write meanwhile as they like. Leases,
// spent counts and what stands beside the log are in it.
func (s *SQLite) Backup(ctx context.Context, path string, o BackupOptions) error {
	if _, err := os.Lstat(path); err == nil && !o.Replace {
		return fault.New(ErrExists, "there is a file already").About(path)
	}
	tmp, err := s.copyBeside(ctx, path, o)
	if err != nil {
		return err
	}
	defer os.Remove(tmp) // a link if it has got its name
	if o.Replace {
		err = os.Rename(tmp, path)
	} else {
		err = os.Link(tmp, path) // fails if anything is there
	}
	if errors.Is(err, fs.ErrExist) {
		return fault.New(ErrExists, "there is a file already").About(path)
	}
	if err != nil {
		return openError(path, err)
	}
	return openError(path, atomicfile.SyncDir(filepath.Dir(path)))
}

// copyBeside copies the ledger into a file with a temporary name in path's folder,
// verified and durable.
func (s *SQLite) copyBeside(ctx context.Context, path string, o BackupOptions) (_ string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*") // with mode 0600
	if err != nil {
		return "", openError(path, err)
	}
	tmp := f.Name()
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp))
		}
	}()
	if err := f.Close(); err != nil {
		return "", openError(path, err)
	}
	if err := copyPages(ctx, s.scan.path, tmp, o.Progress); err != nil {
		return "", openError(path, err)
	}
	if o.Check != nil {
		if err := checkFile(tmp, o.Check); err != nil {
			return "", err
		}
	}
	return tmp, openError(path, syncFile(tmp))
}

func checkFile(path string, check func(*SQLite) error) error {
	s, err := openReader(path, Options{})
	if err != nil {
		return err
	}
	return errors.Join(check(s), s.Close())
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// copyStep is how many pages are copied between two looks at the context.
const copyStep = 4096

// copyPages copies a database, its write-ahead log included, into an empty file
// that needs no such log. The source stays at one instant while a transaction that
// reads it is open.
func copyPages(ctx context.Context, from, to string, progress func(copied, total int)) (err error) {
	src, err := sqlite.OpenConn(from, sqlite.OpenReadOnly)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	src.SetBusyTimeout(busyTimeout)
	dst, err := sqlite.OpenConn(to, sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	if err := sqlitex.ExecuteTransient(dst, "PRAGMA synchronous=OFF", nil); err != nil { // the whole file is synced at the end
		return err
	}
	if err := control(src, "BEGIN"); err != nil {
		return err
	}
	if _, err := checkSchema(src); err != nil { // takes the snapshot
		return err
	}
	if err := copySnapshot(ctx, dst, src, progress); err != nil {
		return err
	}
	mode, err := queryText(dst, "PRAGMA journal_mode=DELETE")
	if err == nil && mode != "delete" {
		err = fault.New(ErrUnavailable, "the copy's journal mode is %s, want delete", mode)
	}
	return err
}

func copySnapshot(ctx context.Context, dst, src *sqlite.Conn, progress func(copied, total int)) (err error) {
	b, err := sqlite.NewBackup(dst, "", src, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	for more := true; more; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if more, err = b.Step(copyStep); err != nil {
			return err
		}
		if progress != nil {
			progress(b.PageCount()-b.Remaining(), b.PageCount())
		}
	}
	return nil
}

// RestoreOptions says how a ledger is put in place.
type RestoreOptions struct {
	BackupOptions      // Replace is not used
	MoveAside     bool // move a ledger that is there into a folder beside it
}

const (
	dbFile     = "ledger.db"
	markFile   = "ledger.restore" // while files are moved: none of them is a ledger yet
	asideStart = "replaced-"
)

// Restore makes a copy of src the ledger in o.Dir, once it is verified and durable,
// holding the writer lock. It returns the folder into which it moved the ledger that
// was there, if there was one. If it is interrupted while it moves files, Open
// refuses until another Restore has ended.
func Restore(ctx context.Context, o Options, src *SQLite, r RestoreOptions) (aside string, err error) {
	if err := atomicfile.MkdirAll(o.Dir, 0o700); err != nil {
		return "", openError(o.Dir, err)
	}
	lock, err := takeLock(ctx, o)
	if err != nil {
		return "", err
	}
	defer lock.release()
	path := filepath.Join(o.Dir, dbFile)
	there, err := ledgerFiles(o.Dir)
	if err != nil {
		return "", openError(o.Dir, err)
	}
	if len(there) > 0 && !r.MoveAside {
		return "", fault.New(ErrExists, "there is a ledger already").About(path)
	}
	tmp, err := src.copyBeside(ctx, path, r.BackupOptions)
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp)
	if len(there) > 0 {
		aside = filepath.Join(o.Dir, asideStart+o.Clock().UTC().Format("20060102T150405.000000Z"))
	}
	return aside, openError(path, place(o.Dir, tmp, there, aside))
}

// ledgerFiles returns the names of the database's files that are there.
func ledgerFiles(dir string) (names []string, err error) {
	for _, suffix := range []string{"-shm", "-wal", ""} {
		_, err := os.Lstat(filepath.Join(dir, dbFile+suffix))
		if err == nil {
			names = append(names, dbFile+suffix)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return names, nil
}

// place moves what is there aside and tmp into its place. A database and its
// write-ahead log cannot be moved at once, and one without the other has lost
// entries: the mark stands meanwhile.
func place(dir, tmp string, there []string, aside string) error {
	mark := filepath.Join(dir, markFile)
	if err := atomicfile.Write(mark, []byte("a restore is under way; if none runs, it was interrupted\n"), 0o600); err != nil {
		return err
	}
	if aside != "" {
		if err := atomicfile.MkdirAll(aside, 0o700); err != nil {
			return err
		}
		for _, name := range there {
			if err := os.Rename(filepath.Join(dir, name), filepath.Join(aside, name)); err != nil {
				return err
			}
		}
		if err := atomicfile.SyncDir(aside); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, filepath.Join(dir, dbFile)); err != nil {
		return err
	}
	if err := atomicfile.SyncDir(dir); err != nil {
		return err
	}
	return errors.Join(os.Remove(mark), atomicfile.SyncDir(dir))
}

// refuseHalfRestored refuses a folder in which a restore was interrupted.
func refuseHalfRestored(dir string) error {
	_, err := os.Lstat(filepath.Join(dir, markFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = fault.New(ErrUnavailable, "a restore was interrupted, and entries may be in the folders %s* beside it; restore again", asideStart)
	}
	return openError(filepath.Join(dir, dbFile), err)
}
