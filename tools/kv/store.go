//go:build unix

package main

import (
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/mythos-run/mythos/sdk/go/tool"
	"github.com/mythos-run/mythos/tools/record"
)

// A store is a folder:
//
//	lock       held by who reads or changes the store
//	keys/HEX   the value of the key with these bytes, encoded
//	staged     the value of a put that is about to begin
//	pending    the change that is being made, and what it answers
//	done/HEX   a change that was made, by its idempotency id; pending once
//
// A put writes staged, then pending: each is synced, then renamed into place.
// From then on the change is certain: staged becomes the key's file and pending
// the file in done, two renames that need no room. Whoever opens the store
// carries out what is pending, so a change that was begun happens whole, and one
// that is done is never made again.
type store struct {
	root *os.Root
	lock *os.File
	step func(name string) // called before each durable step; tests stop there
}

const (
	keysDir     = "keys"
	doneDir     = "done"
	stagedName  = "staged"
	pendingName = "pending"
	tempName    = "temp"
	maxFile     = 64 << 20 // bytes: more than any request holds
)

// open locks the store in a folder that exists.
func open(folder string) (*store, error) { return openWith(folder, func(string) {}) }

func openWith(folder string, step func(string)) (*store, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, tool.Fail(503, "store_unavailable", "the folder "+folder+" cannot be opened: is it there, and granted by FsWrite?")
	}
	s := &store{root: root, step: step}
	if err := s.prepare(); err != nil {
		s.close()
		return nil, full(err)
	}
	return s, nil
}

func (s *store) prepare() (err error) {
	if s.lock, err = s.root.OpenFile("lock", os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	for {
		err = syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return err
	}
	for _, dir := range []string{keysDir, doneDir} {
		if err := s.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return s.recover()
}

func (s *store) close() {
	if s.lock != nil {
		s.lock.Close() // and with it the lock
	}
	s.root.Close()
}

// full tells a caller that the disk or the grant is used up.
func full(err error) error {
	for _, no := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, no) {
			return tool.Fail(507, "store_full", "no room is left for the store")
		}
	}
	return err
}

// read returns the value in a file, and false if there is no such file.
func (s *store) read(name string) (tool.Value, bool, error) {
	f, err := s.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return tool.Value{}, false, nil
	}
	if err != nil {
		return tool.Value{}, false, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return tool.Value{}, false, err
	}
	v, err := tool.Parse(raw)
	if err != nil {
		return tool.Value{}, false, errors.New(name + " is damaged: " + err.Error())
	}
	return v, true, nil
}

// write puts a value into a file, durably, or leaves what was there.
func (s *store) write(name string, v tool.Value) error {
	f, err := s.root.OpenFile(tempName, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(v.Raw())
	s.step("sync " + name)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		s.step("rename " + name)
		err = s.root.Rename(tempName, name)
	}
	if err != nil {
		return errors.Join(err, s.root.Remove(tempName))
	}
	return s.syncDir(path.Dir(name))
}

// move renames a file; it is no error if it was done before.
func (s *store) move(from, to string) error {
	s.step("rename " + from)
	if err := s.root.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(s.syncDir(path.Dir(to)), s.syncDir("."))
}

func (s *store) remove(name string) error {
	s.step("remove " + name)
	if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.syncDir(path.Dir(name))
}

func (s *store) syncDir(name string) error {
	s.step("sync folder " + name)
	d, err := s.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func keyFile(key string) string { return keysDir + "/" + hex.EncodeToString([]byte(key)) }

// get answers {1 found, 2 value?}.
func (s *store) get(key string) (tool.Value, error) {
	v, found, err := s.read(keyFile(key))
	if err != nil {
		return tool.Value{}, err
	}
	pairs := []tool.Pair{record.Pair(1, tool.Bool(found))}
	if found {
		pairs = append(pairs, record.Pair(2, v))
	}
	return tool.Map(pairs...), nil
}

// list answers {1 keys, 2 more}: keys in the order of their bytes, behind after.
func (s *store) list(prefix, after string, limit int) (tool.Value, error) {
	d, err := s.root.Open(keysDir)
	if err != nil {
		return tool.Value{}, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return tool.Value{}, err
	}
	slices.Sort(names) // hexadecimal sorts as the bytes do
	var keys []tool.Value
	for _, name := range names {
		raw, err := hex.DecodeString(name)
		key := string(raw)
		if err != nil || !strings.HasPrefix(key, prefix) || key <= after {
			continue
		}
		if len(keys) == limit {
			return listed(keys, true), nil
		}
		keys = append(keys, tool.Text(key))
	}
	return listed(keys, false), nil
}

func listed(keys []tool.Value, more bool) tool.Value {
	return tool.Map(record.Pair(1, tool.List(keys...)), record.Pair(2, tool.Bool(more)))
}
