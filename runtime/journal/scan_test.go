package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mythos-run/mythos/runtime/journal/journaltest"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// TestScanSurvivesFaults checks that a file which ends under a mapping is an error
// and not the end of the process.
func TestScanSurvivesFaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(m) }()
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	s := scanner{path: path}
	sum := byte(0)
	err = s.guard(func() error { sum += m[0]; return nil })
	if !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v, read %d", err, sum)
	}
	if err := s.read(t.Context(), &entryReader{}, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("the connection is used again: %v", err)
	}
	if err := s.guard(func() error { return ErrFull }); !errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
}

// TestScanSeesWhatIsNew reads a log on and on while it grows.
func TestScanSeesWhatIsNew(t *testing.T) {
	s := openHere(t)
	for want := range 5 {
		n := 0
		for rec, err := range s.Entries(t.Context(), 0) {
			if err != nil || rec.Index != uint64(n) {
				t.Fatal(rec.Index, err)
			}
			n++
		}
		if n != want {
			t.Fatalf("%d entries, want %d", n, want)
		}
		raw, _ := journaltest.NewEffect(t, string(rune('a'+want)), ledger.Pure).Register(ledger.State{}, "request")
		if err := s.Register(t.Context(), ledger.Registration{Body: raw, LeaseFor: 1e6}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Entries(t.Context(), 0) {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}
