package executor_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/executor"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/pack/packtest"
)

// TestBlobReadsKeepToTheirRange: a ref is the program's own claim; one that does
// not describe the blob gets 404, and never bytes outside the capability's range.
func TestBlobReadsKeepToTheirRange(t *testing.T) {
	const mib = 1 << 20
	b := newBench(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 9*mib/16)
	id, err := cas.PutBlob(t.Context(), b.objects, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	pkg := b.load(packtest.Spec{Modules: []packtest.Module{}, IR: `func main(any, any) -> any {
  blob_chunk_get r0, r1, r2, r3
  ret r2
}
task main = main(0, 0) budget cpu_us=5000000 io=1 writes=0
`})
	start, length := uint64(4*mib), uint64(mib)
	now := b.clock.now()
	grant := func(length uint64) *caps.Chain {
		scope := caps.BlobRead{CID: id.CID, RangeStart: &start, RangeLen: &length}
		return b.issue(authorityKey, caps.Capability{
			Subject: executorKey.Agent(), NotBefore: now.Add(-time.Hour).UnixMicro(), ExpiresAt: now.Add(time.Hour).UnixMicro(),
			Scope: caps.Scope{Kind: caps.KindBlobRead, Payload: scope.AppendCAN(nil)},
		})
	}
	truth := blob.Ref{CID: id.CID, Size: 9 * mib, Media: "a/b", Chunks: 3}
	short, flat := truth, truth
	short.Size, short.Chunks = 5*mib, 2 // chunk 1 would have 1 MiB
	flat.Size, flat.Chunks = 100, 0
	read := func(run string, ref blob.Ref, index uint64, length uint64) (*executor.Result, error) {
		in := can.AppendUint(ref.AppendCAN(can.AppendList(nil, 2)), index)
		return b.runWith(pkg, executor.Request{RunID: run, Inputs: in, Proofs: []*caps.Chain{grant(length)}})
	}
	res, err := read("whole", truth, 1, 4*mib)
	if err != nil || !cmp.Equal(res.Outcome.Value, can.AppendBytes(nil, content[4*mib:8*mib])) {
		t.Fatalf("chunk 1: %v", err)
	}
	_, err = read("truth", truth, 1, length)
	wantCode(t, err, caps.ErrScope)
	res, err = read("short", short, 1, length)
	if err != nil || res.Effects[0].Status != 404 || res.Effects[0].ErrorCode != string(executor.CodeBlobMissing) {
		t.Errorf("a ref that lies: %+v, %v", res, err)
	}
	_, err = read("flat", flat, 0, length)
	wantCode(t, err, caps.ErrScope)
}
