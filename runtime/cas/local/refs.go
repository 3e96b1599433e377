package local

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of pins and tags.
const (
	ErrTagName fault.Code = "tag_name_invalid" // a tag that is no name
	ErrNoTag   fault.Code = "tag_not_found"    // a tag that is not set
	ErrNoPin   fault.Code = "pin_not_found"    // a hash that is not pinned
)

const (
	tagsDir = "tags"
	pinsDir = "pins"
	maxTag  = 128 // bytes of a tag's name
)

// Tag is a name for an object. Collection keeps the object and what belongs to it.
type Tag struct {
	Name string
	CID  cid.Hash
}

// Pin makes collection keep an object. It is false if it was pinned already. The
// caller then renews, with Has, everything that belongs to the object: a
// collection that began before the pin keeps what was renewed, one that begins
// later sees the pin.
func (s *Store) Pin(h cid.Hash) (bool, error) {
	path := filepath.Join(s.dir, pinsDir, h.Hex())
	if _, err := os.Lstat(path); err == nil {
		return false, nil
	}
	return true, s.writeRef(path, nil)
}

// Unpin takes a pin back.
func (s *Store) Unpin(h cid.Hash) error {
	return s.removeRef(filepath.Join(s.dir, pinsDir, h.Hex()), fault.New(ErrNoPin, "is not pinned").About(h.String()))
}

// Pins returns what is pinned, ascending.
func (s *Store) Pins() ([]cid.Hash, error) {
	names, err := s.refNames(pinsDir)
	var all []cid.Hash
	for _, name := range names {
		if h, ok := parse(name); ok {
			all = append(all, h)
		}
	}
	return all, err
}

// SetTag makes a name stand for an object, in place of what it stood for. The
// caller then renews what belongs to the object, as after Pin.
func (s *Store) SetTag(name string, h cid.Hash) error {
	if err := CheckTag(name); err != nil {
		return err
	}
	return s.writeRef(filepath.Join(s.dir, tagsDir, name), []byte(tagText(name, h)))
}

// RemoveTag takes a name back.
func (s *Store) RemoveTag(name string) error {
	if err := CheckTag(name); err != nil {
		return err
	}
	return s.removeRef(filepath.Join(s.dir, tagsDir, name), fault.New(ErrNoTag, "no such tag").About(name))
}

// Tags returns all names, ascending. One whose file is damaged is an error.
func (s *Store) Tags() ([]Tag, error) {
	names, err := s.refNames(tagsDir)
	if err != nil {
		return nil, err
	}
	var all []Tag
	for _, name := range names {
		if CheckTag(name) != nil {
			continue
		}
		h, err := s.TagOf(name)
		if errors.Is(err, ErrNoTag) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, Tag{name, h})
	}
	return all, nil
}

// TagOf returns what a name stands for.
func (s *Store) TagOf(name string) (cid.Hash, error) {
	if err := CheckTag(name); err != nil {
		return cid.Hash{}, err
	}
	path := filepath.Join(s.dir, tagsDir, name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return cid.Hash{}, fault.New(ErrNoTag, "no such tag").About(name)
	}
	if err != nil {
		return cid.Hash{}, s.failed("read a tag", err).About(path)
	}
	id, _, _ := strings.Cut(string(b), " ")
	h, err := cid.Parse(id)
	if err != nil || string(b) != tagText(name, h) {
		return cid.Hash{}, fault.New(cas.ErrCorrupt, "the tag is damaged: %q", b).About(path)
	}
	return h, nil
}

// tagText is a tag's file: a changed bit must not make it stand for another
// object.
func tagText(name string, h cid.Hash) string {
	return fmt.Sprintf("%s %08x\n", h, crc32.Checksum([]byte(name+h.String()), castagnoli))
}

// CheckTag reports whether name can be a tag: letters, digits and ._- of ASCII,
// a letter or digit first, at most 128.
func CheckTag(name string) error {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if name == "" || len(name) > maxTag || !strings.Contains(first, name[:1]) {
		return fault.New(ErrTagName, "a tag is up to %d letters, digits, dots, dashes and underscores, the first a letter or digit", maxTag).About(name)
	}
	for _, c := range name {
		if !strings.ContainsRune(first+"._-", c) {
			return fault.New(ErrTagName, "%q is not allowed in a tag", c).About(name)
		}
	}
	return nil
}

func (s *Store) writeRef(path string, text []byte) error {
	if err := s.mayWrite(); err != nil {
		return err
	}
	defer s.mu.RUnlock()
	err := atomicfile.MkdirAll(filepath.Dir(path), dirMode)
	if err == nil {
		err = atomicfile.Write(path, text, 0o600)
	}
	if err != nil {
		return s.failed("write", err).About(path)
	}
	return nil
}

func (s *Store) removeRef(path string, missing error) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return missing
	}
	if err == nil {
		err = atomicfile.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return s.failed("remove", err).About(path)
	}
	return nil
}

func (s *Store) refNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, s.failed("list", err).About(filepath.Join(s.dir, dir))
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}
