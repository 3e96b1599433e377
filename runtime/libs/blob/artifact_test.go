package blob

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

func TestArtifact(t *testing.T) {
	for _, n := range []int{0, 1, FlatLimit - 1, FlatLimit, FlatLimit + 1, 2*FlatLimit + 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			data := content(n)
			s := newStore()
			id, err := WriteArtifact(bytes.NewReader(data), s.put)
			if err != nil {
				t.Fatal(err)
			}
			if id.Size != uint64(n) || id.SHA256 != cid.Sum(data) || id.Flat() != (n <= FlatLimit) || (id.CID == id.SHA256) != id.Flat() {
				t.Errorf("got %+v", id)
			}
			if got := ArtifactOf(data); got != id {
				t.Errorf("ArtifactOf: %+v, want %+v", got, id)
			}
			if !id.Flat() {
				if tree, err := TreeOf(bytes.NewReader(data), FlatLimit); err != nil || tree.CID() != id.CID {
					t.Errorf("the tree's root is %s, %v", tree.CID(), err)
				}
			}
			r, err := id.Open(s.get)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if err := id.Check(bytes.NewReader(data)); err != nil {
				t.Error(err)
			}
			wantCode(t, id.Check(bytes.NewReader(append(bytes.Clone(data), 0))), ErrSize)
			if n == 0 {
				return
			}
			wantCode(t, id.Check(bytes.NewReader(data[:n-1])), ErrSize)
			bad := bytes.Clone(data)
			bad[n/2] ^= 1
			wantCode(t, id.Check(bytes.NewReader(bad)), ErrHash)
		})
	}
}

func TestArtifactRefuses(t *testing.T) {
	s := newStore()
	small, err := WriteArtifact(bytes.NewReader(content(100)), s.put)
	if err != nil {
		t.Fatal(err)
	}
	data := content(FlatLimit + 100)
	large, err := WriteArtifact(bytes.NewReader(data), s.put)
	if err != nil {
		t.Fatal(err)
	}
	wrong := cid.Sum([]byte("wrong"))
	otherCut, err := Write(bytes.NewReader(data), Options{ChunkSize: MinChunkSize}, s.put)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		id   ArtifactID
		want fault.Code
	}{
		"small, sha256 wrong":     {ArtifactID{small.CID, small.Size, wrong}, ErrHash},
		"small, size too high":    {ArtifactID{small.CID, small.Size + 1, small.SHA256}, ErrSize},
		"large, sha256 wrong":     {ArtifactID{large.CID, large.Size, wrong}, ErrHash},
		"large, size too low":     {ArtifactID{large.CID, large.Size - 1, large.SHA256}, ErrSize},
		"large, size too high":    {ArtifactID{large.CID, large.Size + 1, large.SHA256}, ErrSize},
		"large in smaller chunks": {ArtifactID{otherCut.CID(), large.Size, large.SHA256}, ErrSize},
		"beyond 2^40":             {ArtifactID{large.CID, MaxSize + 1, large.SHA256}, ErrSize},
		"empty of another hash":   {ArtifactID{wrong, 0, wrong}, ErrHash},
	} {
		t.Run(name, func(t *testing.T) {
			s.m[wrong] = []byte{}
			r, err := c.id.Open(s.get)
			if err == nil {
				_, err = io.ReadAll(r)
			}
			wantCode(t, err, c.want)
		})
	}
	wantCode(t, ArtifactID{large.CID, MaxSize + 1, large.SHA256}.Check(bytes.NewReader(nil)), ErrSize)
	wantCode(t, ArtifactID{wrong, large.Size, large.SHA256}.Check(bytes.NewReader(data)), ErrHash)
	wantCode(t, ArtifactID{otherCut.CID(), large.Size, large.SHA256}.Check(bytes.NewReader(data)), ErrHash)
}
