package staging_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/registry/ociapi/staging"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
)

// each runs a test on each kind of area; dir is where it keeps files.
func each(t *testing.T, test func(t *testing.T, a staging.Area, dir string)) {
	t.Run("folder", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "a", "b")
		a, err := staging.InFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		test(t, a, dir)
	})
	t.Run("bucket", func(t *testing.T) {
		dir := t.TempDir()
		test(t, staging.InBucket(folder.Open(dir)), filepath.Join(dir, "uploads"))
	})
}

func keys(t *testing.T, a staging.Area) (all []string) {
	t.Helper()
	for key, err := range a.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, key)
	}
	return all
}

func TestParts(t *testing.T) {
	each(t, func(t *testing.T, a staging.Area, dir string) {
		upload := staging.NewUpload()
		whole := buckettest.Random(1, 9<<20)
		var parts []catalog.Part
		var size int64
		for in := bytes.NewReader(whole); ; {
			p, err := a.Keep(t.Context(), upload, in)
			if err != nil {
				t.Fatal(err)
			}
			if p.Size == 0 {
				break
			}
			if size += p.Size; staging.Owner(p.Key) != upload {
				t.Errorf("%s is of %s", p.Key, staging.Owner(p.Key))
			}
			parts = append(parts, p)
		}
		if got := keys(t, a); size != int64(len(whole)) || len(got) != len(parts) {
			t.Errorf("%d bytes in %v, listed %v", size, parts, got)
		}
		for range 2 {
			in := staging.Join(t.Context(), a, parts)
			got, err := io.ReadAll(iotest.HalfReader(in))
			if err = errors.Join(err, in.Close(), in.Close()); err != nil || !bytes.Equal(got, whole) {
				t.Errorf("%d bytes came back, %v", len(got), err)
			}
		}
		if got, err := io.ReadAll(staging.Join(t.Context(), a, nil)); err != nil || len(got) != 0 {
			t.Errorf("no parts: %q, %v", got, err)
		}
		short := slices.Clone(parts)
		short[0].Size++
		in := staging.Join(t.Context(), a, short)
		if _, err := io.ReadAll(in); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a part that is shorter: %v", err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		for _, p := range parts {
			if err := errors.Join(a.Drop(t.Context(), p.Key), a.Drop(t.Context(), p.Key)); err != nil {
				t.Error(err)
			}
		}
		if _, err := io.ReadAll(staging.Join(t.Context(), a, parts)); !errors.Is(err, cas.ErrNotFound) {
			t.Errorf("dropped: %v", err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("left: %v, %v", entries, err)
		}
	})
}

// TestBrokenSources: what came before a source failed is kept, and the source is
// blamed.
func TestBrokenSources(t *testing.T) {
	broken := errors.New("broken")
	each(t, func(t *testing.T, a staging.Area, _ string) {
		var source *cas.SourceError
		p, err := a.Keep(t.Context(), staging.NewUpload(), io.MultiReader(strings.NewReader("came"), iotest.ErrReader(broken)))
		if !errors.As(err, &source) || !errors.Is(err, broken) || p.Size != 4 {
			t.Fatalf("%+v, %v", p, err)
		}
		if got, err := io.ReadAll(staging.Join(t.Context(), a, []catalog.Part{p})); err != nil || string(got) != "came" {
			t.Errorf("%q, %v", got, err)
		}
		none, err := a.Keep(t.Context(), staging.NewUpload(), iotest.ErrReader(broken))
		if !errors.Is(err, broken) || none.Size != 0 {
			t.Errorf("%+v, %v", none, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if none, err = a.Keep(ctx, staging.NewUpload(), strings.NewReader("late")); !errors.Is(err, context.Canceled) || none.Size != 0 {
			t.Errorf("%+v, %v", none, err)
		}
		if got := keys(t, a); !slices.Equal(got, []string{p.Key}) {
			t.Errorf("%v", got)
		}
	})
}

func TestNoFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := staging.InFolder(filepath.Join(file, "x")); !errors.Is(err, cas.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}
