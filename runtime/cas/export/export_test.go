package export

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/memory"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

func filled(t *testing.T, sizes ...int) (cas.Store, []cid.Hash) {
	t.Helper()
	s := memory.New(memory.Options{})
	var ids []cid.Hash
	for i, n := range sizes {
		h, err := s.Put(t.Context(), bytes.Repeat([]byte{byte(i + 1)}, n))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, h)
	}
	return s, ids
}

func stream(t *testing.T, s cas.Store, ids []cid.Hash, z bool) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(t.Context(), &b, s, ids[:1], ids, Options{Gzip: z}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func listed(t *testing.T, s cas.Store) []cid.Hash {
	t.Helper()
	var all []cid.Hash
	for h, err := range s.List(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	return all
}

func TestThereAndBack(t *testing.T) {
	from, ids := filled(t, 0, 1, 5000, 1<<20)
	for _, z := range []bool{false, true} {
		raw := stream(t, from, ids, z)
		if !bytes.Equal(raw, stream(t, from, ids, z)) {
			t.Error("two exports differ")
		}
		to := memory.New(memory.Options{})
		got, err := Read(t.Context(), bytes.NewReader(raw), to, nil)
		if err != nil || got.Objects != 4 || !slices.Equal(got.Roots, ids[:1]) {
			t.Errorf("got %+v, %v", got, err)
		}
		if !slices.Equal(listed(t, to), listed(t, from)) {
			t.Error("the stores differ")
		}
	}
}

// TestCutAndChanged: a stream that was cut anywhere stores nothing, and one with a
// changed bit stores nothing wrong.
func TestCutAndChanged(t *testing.T) {
	from, ids := filled(t, 10, 1024)
	for _, z := range []bool{false, true} {
		raw := stream(t, from, ids, z)
		whole := len(raw)
		if !z {
			whole -= 1024 // the end of a tar file is two empty blocks
		}
		for n := range whole {
			to := memory.New(memory.Options{})
			if _, err := Read(t.Context(), bytes.NewReader(raw[:n]), to, nil); !errors.Is(err, ErrFormat) {
				t.Fatalf("cut at %d: %v, want %v", n, err, ErrFormat)
			}
		}
		for bit := range len(raw) * 8 {
			bad := bytes.Clone(raw)
			bad[bit/8] ^= 1 << (bit % 8)
			to := memory.New(memory.Options{})
			_, _ = Read(t.Context(), bytes.NewReader(bad), to, nil) // padding may change
			for _, h := range listed(t, to) {
				if !slices.Contains(ids, h) {
					t.Fatalf("bit %d brought %s", bit, h)
				}
			}
		}
	}
}

func TestMissing(t *testing.T) {
	from, ids := filled(t, 10)
	var b bytes.Buffer
	err := Write(t.Context(), &b, from, ids, append(ids, cid.Sum([]byte("absent"))), Options{})
	if !errors.Is(err, cas.ErrNotFound) {
		t.Errorf("got %v, want %v", err, cas.ErrNotFound)
	}
}

func FuzzRead(f *testing.F) {
	s := memory.New(memory.Options{})
	h, err := s.Put(context.Background(), []byte("object"))
	if err != nil {
		f.Fatal(err)
	}
	for _, z := range []bool{false, true} {
		var b bytes.Buffer
		if err := Write(context.Background(), &b, s, []cid.Hash{h}, []cid.Hash{h}, Options{Gzip: z}); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		to := memory.New(memory.Options{})
		got, err := Read(context.Background(), bytes.NewReader(raw), to, nil)
		if err == nil && got.Objects < len(listed(t, to)) {
			t.Errorf("%d objects came of %d", len(listed(t, to)), got.Objects)
		}
	})
}
