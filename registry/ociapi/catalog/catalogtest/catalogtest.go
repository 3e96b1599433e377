// Package catalogtest is the acceptance suite of catalog.Catalog.
package catalogtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// Run tries a catalog. open returns a new, empty one and a function that opens the
// same one again after it was closed.
func Run(t *testing.T, open func(t *testing.T) (c catalog.Catalog, again func() catalog.Catalog)) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, catalog.Catalog, func() catalog.Catalog)
	}{
		{"Blobs", blobs},
		{"Manifests", manifests},
		{"Tags", tags},
		{"Referrers", referrers},
		{"Uploads", uploads},
		{"Race", race},
		{"Objects", objects},
		{"Cancelled", cancelled},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, again := open(t)
			test.run(t, c, again)
		})
	}
}

// Blob returns a blob that has a text as its bytes.
func Blob(text string) catalog.Blob {
	id := cid.Sum([]byte(text))
	return catalog.Blob{Digest: id.String(), CID: id, Size: int64(len(text))}
}

func blobs(t *testing.T, c catalog.Catalog, again func() catalog.Catalog) {
	a, alias := Blob("a"), Blob("a")
	alias.Digest = "sha512:" + strings.Repeat("0a", 64)
	noError(t, c.LinkBlob(t.Context(), "r/one", a))
	noError(t, c.LinkBlob(t.Context(), "r/one", a))
	noError(t, c.LinkBlob(t.Context(), "r/two", alias))
	noError(t, c.Close())
	c = again()
	defer c.Close()
	for _, ask := range []struct {
		repository, digest string
		want               catalog.Blob
		ok                 bool
	}{
		{"r/one", a.Digest, a, true},
		{"", a.Digest, a, true},
		{"r/two", alias.Digest, alias, true},
		{"", alias.Digest, alias, true},
		{"r/two", a.Digest, catalog.Blob{}, false},
		{"r", a.Digest, catalog.Blob{}, false},
		{"", Blob("b").Digest, catalog.Blob{}, false},
	} {
		got, ok, err := c.Blob(t.Context(), ask.repository, ask.digest)
		same(t, []any{got, ok, err}, []any{ask.want, ask.ok, nil})
	}
	missing, err := c.Missing(t.Context(), "r/one", []string{a.Digest, a.Digest}, nil)
	same(t, []any{missing, err}, []any{"", nil})
	missing, err = c.Missing(t.Context(), "r/one", []string{a.Digest, alias.Digest, "x"}, []string{a.Digest})
	same(t, []any{missing, err}, []any{alias.Digest, nil})
	missing, err = c.Missing(t.Context(), "r/one", []string{a.Digest}, []string{a.Digest})
	same(t, []any{missing, err}, []any{a.Digest, nil})
	for _, want := range []bool{true, false} {
		was, err := c.UnlinkBlob(t.Context(), "r/one", a.Digest)
		same(t, []any{was, err}, []any{want, nil})
	}
	_, ok, err := c.Blob(t.Context(), "r/one", a.Digest)
	same(t, []any{ok, err}, []any{false, nil})
	noError(t, c.Ping(t.Context()))
}

func manifest(text string) catalog.Manifest {
	return catalog.Manifest{
		Blob: Blob(text), MediaType: "application/x", ArtifactType: "application/a", Annotations: `{"k":"` + text + `"}`,
	}
}

func manifests(t *testing.T, c catalog.Catalog, again func() catalog.Catalog) {
	a, b := manifest("a"), manifest("b")
	b.Subject, b.Annotations, b.ArtifactType = a.Digest, "", ""
	noError(t, c.PutManifest(t.Context(), "r", a, []string{"1", "latest"}))
	noError(t, c.PutManifest(t.Context(), "r", b, []string{"latest", "latest"}))
	noError(t, c.PutManifest(t.Context(), "other", a, nil))
	noError(t, c.Close())
	c = again()
	defer c.Close()
	want := func(repository, reference string, m catalog.Manifest, there bool) {
		t.Helper()
		got, ok, err := c.Manifest(t.Context(), repository, reference)
		same(t, []any{got, ok, err}, []any{m, there, nil})
	}
	want("r", "1", a, true)
	want("r", "latest", b, true)
	want("r", a.Digest, a, true)
	want("other", "latest", catalog.Manifest{}, false)
	want("r", "none", catalog.Manifest{}, false)
	a.MediaType = "application/y"
	noError(t, c.PutManifest(t.Context(), "r", a, nil))
	want("r", "1", a, true)
	for _, there := range []bool{true, false} {
		was, err := c.DeleteTag(t.Context(), "r", "1")
		same(t, []any{was, err}, []any{there, nil})
	}
	want("r", "1", catalog.Manifest{}, false)
	want("r", a.Digest, a, true)
	missing, err := c.Missing(t.Context(), "r", nil, []string{a.Digest, b.Digest})
	same(t, []any{missing, err}, []any{"", nil})
	for _, there := range []bool{true, false} {
		was, err := c.DeleteManifest(t.Context(), "r", b.Digest)
		same(t, []any{was, err}, []any{there, nil})
	}
	want("r", "latest", catalog.Manifest{}, false)
	noError(t, c.PutManifest(t.Context(), "r", b, nil))
	want("r", "latest", catalog.Manifest{}, false) // the tag went with the manifest
}

func tags(t *testing.T, c catalog.Catalog, _ func() catalog.Catalog) {
	defer c.Close()
	all := []string{"A", "Z", "_", "a", "a-1", "a.1", "b", "v10", "v2"} // bytewise
	shuffled := slices.Clone(all)
	slices.Reverse(shuffled)
	noError(t, c.PutManifest(t.Context(), "r", manifest("a"), shuffled))
	noError(t, c.PutManifest(t.Context(), "q", manifest("a"), []string{"other"}))
	noError(t, c.LinkBlob(t.Context(), "blobs", Blob("x")))
	for _, ask := range []struct {
		repository, after string
		limit             int
		want              []string
		ok                bool
	}{
		{"r", "", 100, all, true},
		{"r", "", 3, all[:3], true},
		{"r", "_", 2, all[3:5], true},
		{"r", "a0", 100, all[6:], true},
		{"r", "v2", 100, nil, true},
		{"r", "", 0, nil, true},
		{"blobs", "", 100, nil, true},
		{"none", "", 100, nil, false},
	} {
		got, ok, err := c.Tags(t.Context(), ask.repository, ask.after, ask.limit)
		same(t, []any{append([]string{}, got...), ok, err}, []any{append([]string{}, ask.want...), ask.ok, nil})
	}
}

func referrers(t *testing.T, c catalog.Catalog, _ func() catalog.Catalog) {
	defer c.Close()
	subject := Blob("subject").Digest
	var want []catalog.Manifest
	for i := range 20 {
		m := manifest(fmt.Sprint(i))
		m.Subject, m.ArtifactType = subject, fmt.Sprint("application/", i%2)
		noError(t, c.PutManifest(t.Context(), "r", m, nil))
		noError(t, c.PutManifest(t.Context(), "other", m, nil))
		want = append(want, m)
	}
	noError(t, c.PutManifest(t.Context(), "r", manifest("refers to nothing"), nil))
	slices.SortFunc(want, func(a, b catalog.Manifest) int { return strings.Compare(a.Digest, b.Digest) })
	list := func(kind, after string, limit int) (got []catalog.Manifest) {
		t.Helper()
		for m, err := range c.Referrers(t.Context(), "r", subject, kind, after) {
			if noError(t, err); len(got) == limit {
				break
			}
			got = append(got, m)
		}
		return got
	}
	same(t, list("", "", 100), want)
	same(t, list("", want[4].Digest, 3), want[5:8])
	same(t, list("", want[19].Digest, 3), []catalog.Manifest(nil))
	same(t, list("application/1", "", 100), slices.DeleteFunc(slices.Clone(want), func(m catalog.Manifest) bool { return m.ArtifactType != "application/1" }))
	same(t, list("application/3", "", 100), []catalog.Manifest(nil))
	_, err := c.DeleteManifest(t.Context(), "r", want[0].Digest)
	noError(t, err)
	same(t, list("", "", 1), want[1:2])
	for range c.Referrers(t.Context(), "r", "", "", "") {
		t.Error("a manifest without a subject refers to something")
	}
}

func uploads(t *testing.T, c catalog.Catalog, again func() catalog.Catalog) {
	for i, want := range []bool{true, true, true, false} {
		ok, err := c.StartUpload(t.Context(), "r", fmt.Sprint("u", i), int64(10*i), 3)
		same(t, []any{ok, err}, []any{want, nil})
	}
	extend := func(id string, offset, size int64, key string, want bool) {
		t.Helper()
		ok, err := c.Extend(t.Context(), id, offset, catalog.Part{Key: key, Size: size}, 100)
		same(t, []any{ok, err}, []any{want, nil})
	}
	extend("u1", 0, 5, "a", true)
	extend("u1", 0, 5, "b", false)
	extend("u1", 5, 7, "c", true)
	extend("u1", 13, 1, "d", false)
	extend("u9", 0, 1, "e", false)
	noError(t, c.Close())
	c = again()
	defer c.Close()
	u := catalog.Upload{Offset: 12, Parts: []catalog.Part{{Key: "a", Size: 5}, {Key: "c", Size: 7}}}
	got, ok, err := c.Upload(t.Context(), "r", "u1")
	same(t, []any{got, ok, err}, []any{u, true, nil})
	got, ok, err = c.Upload(t.Context(), "r", "u2")
	same(t, []any{got, ok, err}, []any{catalog.Upload{}, true, nil})
	for _, ask := range [][2]string{{"other", "u1"}, {"r", "u3"}, {"r", ""}} {
		if _, ok, err = c.Upload(t.Context(), ask[0], ask[1]); ok || err != nil {
			t.Errorf("%v: %t, %v", ask, ok, err)
		}
	}
	for before, want := range map[int64][]string{0: nil, 1: {"u0"}, 21: {"u0", "u2"}, 101: {"u0", "u1", "u2"}} {
		ids, err := c.Uploads(t.Context(), before)
		same(t, []any{ids, err}, []any{want, nil})
	}
	got, ok, err = c.EndUpload(t.Context(), "u1")
	same(t, []any{got, ok, err}, []any{u, true, nil})
	_, ok, err = c.EndUpload(t.Context(), "u1")
	same(t, []any{ok, err}, []any{false, nil})
	ok, err = c.StartUpload(t.Context(), "r", "u1", 1, 3)
	same(t, []any{ok, err}, []any{true, nil})
	got, _, err = c.Upload(t.Context(), "r", "u1")
	same(t, []any{got, err}, []any{catalog.Upload{}, nil})
}

// race has several writers extend one upload, and move one tag: each step has one
// winner, and what stands is whole.
func race(t *testing.T, c catalog.Catalog, _ func() catalog.Catalog) {
	defer c.Close()
	_, err := c.StartUpload(t.Context(), "r", "u", 0, 1)
	noError(t, err)
	const writers, rounds = 6, 10
	for round := range rounds {
		var won atomic.Int32
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() {
				ok, err := c.Extend(t.Context(), "u", int64(round), catalog.Part{Key: fmt.Sprint(round, "-", i), Size: 1}, 1)
				if ok {
					won.Add(1)
				}
				m := manifest(fmt.Sprint(i))
				if err := errors.Join(err, c.PutManifest(t.Context(), "r", m, []string{"tag"})); err != nil {
					t.Error(err)
				}
			})
		}
		if all.Wait(); won.Load() != 1 {
			t.Fatalf("round %d has %d winners", round, won.Load())
		}
		if m, ok, err := c.Manifest(t.Context(), "r", "tag"); !ok || err != nil || m.Annotations == "" {
			t.Fatalf("the tag: %+v, %t, %v", m, ok, err)
		}
	}
	u, _, err := c.Upload(t.Context(), "r", "u")
	if noError(t, err); u.Offset != rounds || len(u.Parts) != rounds {
		t.Errorf("%+v", u)
	}
}

func objects(t *testing.T, c catalog.Catalog, _ func() catalog.Catalog) {
	defer c.Close()
	var want []cid.Hash
	for i := range 10 {
		b := Blob(fmt.Sprint(i))
		noError(t, c.LinkBlob(t.Context(), fmt.Sprint("r", i%3), b))
		noError(t, c.LinkBlob(t.Context(), "again", b))
		m := manifest(fmt.Sprint("m", i))
		noError(t, c.PutManifest(t.Context(), "r", m, nil))
		want = append(want, b.CID, m.CID)
	}
	slices.SortFunc(want, cid.Hash.Compare)
	var got []cid.Hash
	for id, err := range c.Objects(t.Context()) {
		noError(t, err)
		got = append(got, id)
	}
	same(t, got, want)
	for id, err := range c.Objects(t.Context()) {
		same(t, []any{id, err}, []any{want[0], nil})
		break
	}
	noError(t, c.Ping(t.Context())) // what broke off holds nothing
}

func cancelled(t *testing.T, c catalog.Catalog, _ func() catalog.Catalog) {
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.PutManifest(ctx, "r", manifest("a"), []string{"1"}); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if _, ok, err := c.Manifest(t.Context(), "r", "1"); ok || err != nil {
		t.Errorf("a cancelled put left a manifest: %t, %v", ok, err)
	}
	for _, err := range c.Referrers(ctx, "r", "x", "", "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("referrers: %v", err)
		}
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("want -, got +:\n%s", diff)
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
