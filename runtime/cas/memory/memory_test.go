package memory_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/castest"
	"github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

func TestAcceptance(t *testing.T) {
	castest.Run(t, harness(func(*testing.T) cas.Store { return memory.New(memory.Options{}) }))
}

// TestAcceptanceUnbatched runs the suite on a store without batches of its own.
func TestAcceptanceUnbatched(t *testing.T) {
	hn := harness(func(*testing.T) cas.Store { return bare{memory.New(memory.Options{})} })
	castest.Run(t, hn)
}

// bare hides that the store is a cas.Batcher.
type bare struct{ cas.Store }

func inner(s cas.Store) *memory.Store {
	if b, ok := s.(bare); ok {
		s = b.Store
	}
	return s.(*memory.Store)
}

func harness(create func(*testing.T) cas.Store) castest.Harness {
	return castest.Harness{
		New: create,
		Damage: func(_ *testing.T, s cas.Store, h cid.Hash, b []byte) {
			inner(s).Damage(h, b)
		},
		Stored: func(_ *testing.T, s cas.Store, h cid.Hash) []byte {
			return inner(s).Raw(h)
		},
		Leftovers: func(*testing.T, cas.Store) []string { return nil },
	}
}

func TestCapacity(t *testing.T) {
	s := memory.New(memory.Options{Capacity: 10})
	six := []byte("sixsix")
	for range 2 {
		if _, err := s.Put(t.Context(), six); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Put(t.Context(), []byte("fives")); !errors.Is(err, cas.ErrFull) {
		t.Errorf("one byte too much: %v, want %v", err, cas.ErrFull)
	}
	big := make([]byte, 11)
	if err := s.PutFrom(t.Context(), bytes.NewReader(big), cid.Sum(big), 11); !errors.Is(err, cas.ErrFull) {
		t.Errorf("too large an object: %v, want %v", err, cas.ErrFull)
	}
	if _, err := s.Put(t.Context(), []byte("four")); err != nil {
		t.Error(err)
	}
}
