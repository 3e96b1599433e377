package transfer

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// scratch keeps manifests, trees and nodes while what they name is fetched. It is
// a cache: a failure of it costs only that something is fetched again.
type scratch struct {
	dir  string     // "": none
	used []cid.Hash // what this pull read, from here or elsewhere
}

func (s *scratch) path(id cid.Hash) string { return filepath.Join(s.dir, id.Hex()) }

// get returns an object that an earlier pull kept, if its bytes are right.
func (s *scratch) get(id cid.Hash, limit int64) ([]byte, bool) {
	if s.dir == "" {
		return nil, false
	}
	s.used = append(s.used, id)
	f, err := os.Open(s.path(id))
	if err != nil {
		return nil, false
	}
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err = errors.Join(err, f.Close()); err != nil || int64(len(raw)) > limit || cid.Sum(raw) != id {
		return nil, false
	}
	return raw, true
}

func (s *scratch) put(id cid.Hash, raw []byte) {
	if s.dir == "" || atomicfile.MkdirAll(s.dir, 0o700) != nil {
		return
	}
	_ = atomicfile.Write(s.path(id), raw, 0o600) // see above
}

// done notes an object that the store has.
func (s *scratch) done(id cid.Hash) {
	if s.dir != "" {
		s.used = append(s.used, id)
	}
}

// clear removes what this pull used: the store has it now.
func (s *scratch) clear() {
	for _, id := range s.used {
		_ = os.Remove(s.path(id)) // it need not be there
	}
	if s.dir != "" {
		_ = os.Remove(s.dir) // unless others use it
	}
}
