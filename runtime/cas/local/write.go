package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Put implements cas.Store.
func (s *Store) Put(ctx context.Context, b []byte) (cid.Hash, error) {
	h := cid.Sum(b)
	return h, s.put(ctx, h, fill(b))
}

// PutFrom implements cas.Store. An object that is there already is read and
// checked, so that success means that good bytes are stored.
func (s *Store) PutFrom(ctx context.Context, r io.Reader, want cid.Hash, size int64) error {
	return s.put(ctx, want, receive(ctx, r, want, size))
}

// content is an object on its way into the store.
type content struct {
	size  int64                   // as it was announced
	bytes []byte                  // all of them, if they are in memory
	write func(w io.Writer) error // writes them, and fails unless they are the object
}

func fill(b []byte) content {
	return content{int64(len(b)), b, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}}
}

func receive(ctx context.Context, r io.Reader, want cid.Hash, size int64) content {
	return content{size, nil, func(w io.Writer) error { return cas.Receive(ctx, w, r, want, size) }}
}

// small reports whether the object belongs into a pack.
func (c content) small() bool { return canLock && c.size < smallLimit }

// load returns a small object's bytes.
func (c content) load() ([]byte, error) {
	if c.bytes != nil {
		return c.bytes, nil
	}
	var b bytes.Buffer
	err := c.write(&b)
	return b.Bytes(), err
}

func (s *Store) put(ctx context.Context, h cid.Hash, from content) error {
	ses, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.mu.RUnlock()
	held, err := s.intact(ctx, h, from.small())
	if err != nil {
		return err
	}
	if held == asFile {
		if there, err := s.renewFile(h); there || err != nil {
			return s.object("store", h, errors.Join(err, s.again(h, from)))
		}
	}
	if held == absent {
		if err := s.admit(h, from.size); err != nil {
			return err
		}
	}
	if from.small() {
		b, err := from.load()
		if err == nil {
			err = s.writer.do([]item{{h: h, data: b, put: true}})
		}
		return s.object("store", h, err)
	}
	return s.object("store", h, s.putLarge(ses, h, from))
}

// again answers a put of a file that is there already.
func (s *Store) again(h cid.Hash, from content) error {
	if err := from.write(io.Discard); err != nil {
		return err
	}
	return s.syncDirOf(h) // whoever renamed it may not have done so yet
}

func (s *Store) putLarge(ses *session, h cid.Hash, from content) error {
	f, err := s.stage(ses, from)
	if err != nil {
		return err
	}
	if err := s.settle(f); err != nil {
		return err
	}
	if err := s.place(f.Name(), h); err != nil {
		return err
	}
	return s.syncDirOf(h)
}

// place of an object.
type place uint8

const (
	absent place = iota
	asFile
	inPack
)

// intact reports where h is stored, as far as this process knows, and fails if
// it is damaged. What others appended since it last looked it need not know: the
// worst is a second copy. A small object is looked for among the files only if
// there may be such.
func (s *Store) intact(ctx context.Context, h cid.Hash, small bool) (place, error) {
	x, err := s.look(h)
	if err != nil {
		return absent, s.object("look for", h, err)
	}
	if len(x.copies) > 0 {
		_, err := s.readCopy(h, smallLimit, x)
		return inPack, repairHint(h, err)
	}
	if small && !s.oldFiles {
		return absent, nil
	}
	f, size, err := s.openFile(ctx, h)
	if errors.Is(err, cas.ErrNotFound) {
		return absent, nil
	}
	if err != nil {
		return absent, repairHint(h, err)
	}
	r := cas.Verify(&objectFile{File: f, s: s, ctx: ctx, h: h}, h, size)
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return asFile, repairHint(h, err)
}

func repairHint(h cid.Hash, err error) error {
	if errors.Is(err, cas.ErrCorrupt) {
		return fault.New(cas.ErrCorrupt, "the stored copy is damaged; repair it first: %w", err).About(h.String())
	}
	return err
}

// renewFile makes a file's generation the present and reports whether it is
// there.
func (s *Store) renewFile(h cid.Hash) (bool, error) {
	now := s.now()
	info, err := os.Lstat(s.path(h))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case now.Sub(info.ModTime()) < renewAfter*time.Second:
		return true, nil
	}
	unlock, err := s.lockStore(false)
	if err != nil {
		return false, err
	}
	defer unlock()
	err = os.Chtimes(s.path(h), time.Time{}, now)
	return err == nil, ignoreMissing(err)
}

// stage writes an object to a temporary file, not yet synced. On error nothing
// is left; otherwise the caller passes the file to settle.
func (s *Store) stage(ses *session, from content) (*os.File, error) {
	if err := s.at(stepCreate); err != nil {
		return nil, err
	}
	f, err := ses.create()
	if err != nil {
		return nil, err
	}
	err = s.at(stepWrite)
	if err == nil {
		err = from.write(&eager{f: f})
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return f, nil
}

// eagerAfter is how many bytes of a large file are written before the disk is
// asked to begin with them, so that the sync at the end has less to wait for.
const eagerAfter = 8 << 20

// eager writes a file and keeps the disk busy.
type eager struct {
	f             *os.File
	asked, behind int64
}

func (e *eager) Write(b []byte) (int, error) {
	n, err := e.f.Write(b)
	if e.behind += int64(n); e.behind >= eagerAfter {
		startSync(e.f, e.asked, e.behind)
		e.asked, e.behind = e.asked+e.behind, 0
	}
	return n, err
}

// settle syncs and closes a staged file. On error it is removed.
func (s *Store) settle(f *os.File) error {
	err := s.at(stepSync)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// place renames a settled file to its object. On error it is removed. Its
// generation is the present, however long it took to come.
func (s *Store) place(tmp string, h cid.Hash) error {
	err := s.at(stepRename)
	if err == nil {
		err = s.rename(tmp, h)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

func (s *Store) rename(tmp string, h cid.Hash) error {
	unlock, err := s.lockStore(false)
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.Chtimes(tmp, time.Time{}, s.now()); err != nil {
		return err
	}
	return os.Rename(tmp, s.path(h))
}

func (s *Store) syncDirOf(h cid.Hash) error {
	if err := s.at(stepSyncDir); err != nil {
		return err
	}
	if err := atomicfile.SyncDir(filepath.Dir(s.path(h))); err != nil {
		return err
	}
	s.settled.note(s.now(), h)
	return s.at(stepDone)
}
