package azure_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/remote/bucket/azure"
	"github.com/mythos-run/mythos/runtime/remote/bucket/azure/azuretest"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
)

// TestTwoWriters has one Put of several blocks wait while another of the same key
// runs: no block of the one becomes a part of the other's value.
func TestTwoWriters(t *testing.T) {
	const size, pauseAt = 33 << 20, 17 << 20 // in the second of three blocks
	good, bad := buckettest.Random(1, size), buckettest.Random(2, size)
	for _, test := range []struct {
		name          string
		sent          []byte // by the writer that does not wait
		first, second error  // of the writer that waits, and of the other
	}{
		{"the second is refused", bad, nil, cas.ErrCorrupt},
		{"the second was faster", good, bucket.ErrExists, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := azure.Open(azuretest.Server(t))
			if err != nil {
				t.Fatal(err)
			}
			put := func(r io.Reader) error {
				return b.Put(t.Context(), "objects/x", bucket.Value{Size: size, Sum: cid.Sum(good), Open: func() (io.ReadCloser, error) { return io.NopCloser(r), nil }})
			}
			reached, goOn, first := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			go func() {
				first <- put(io.MultiReader(bytes.NewReader(good[:pauseAt]), &gate{reached, goOn}, bytes.NewReader(good[pauseAt:])))
			}()
			<-reached
			if err := put(bytes.NewReader(test.sent)); !errors.Is(err, test.second) {
				t.Errorf("the second writer: %v, want %v", err, test.second)
			}
			close(goOn)
			if err := <-first; !errors.Is(err, test.first) {
				t.Errorf("the first writer: %v, want %v", err, test.first)
			}
			rc, _, err := b.Get(t.Context(), "objects/x", 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			defer rc.Close()
			if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, good) {
				t.Errorf("stored are %d other bytes, %v", len(got), err)
			}
		})
	}
}

// gate is a reader of nothing that waits.
type gate struct{ reached, goOn chan struct{} }

func (g *gate) Read([]byte) (int, error) {
	close(g.reached)
	<-g.goOn
	return 0, io.EOF
}
