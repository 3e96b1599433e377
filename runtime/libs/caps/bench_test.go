package caps

import (
	"fmt"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// benchChain is a chain of n links for a call with two constraints each, and the use
// that it allows.
func benchChain(b *testing.B, n int) (*Chain, Use) {
	b.Helper()
	keys := make([]sig.Key, n+1)
	for i := range keys {
		keys[i] = sig.NewKey([32]byte{byte(i + 1)}, "")
	}
	tool := cid.Sum([]byte("tool"))
	limit, text := Arg("/amount", OpLe, can.AppendUint(nil, 500))
	var links [][]byte
	var parent *cid.Hash
	for i := range n {
		s := ToolCall{ToolID: tool, MaxCalls: 10, Constraints: map[string]string{limit: text, ConstraintRingMax: "0"}}
		raw, id, err := Issue(Capability{
			Subject: keys[i+1].Agent(), NotBefore: 0, ExpiresAt: 1000, Delegable: i < n-1, AttenuationParent: parent, Scope: ScopeOf(&s),
		}, keys[i])
		if err != nil {
			b.Fatal(err)
		}
		links, parent = append(links, raw), &id
	}
	c, err := DecodeProof(EncodeProof(links))
	if err != nil {
		b.Fatal(err)
	}
	payload := can.AppendUint(can.AppendText(can.AppendMap(nil, 1), "amount"), 250)
	root := keys[0].Agent()
	u := Use{Subject: keys[n].Agent(), Now: 500, Authority: root.Equal}
	u.SetCall(&Call{Tool: tool, Payload: payload})
	return c, u
}

// BenchmarkFresh decodes a proof, verifies it and checks a use, in turn with one bare
// signature verification, and reports the first's time in the second's.
func BenchmarkFresh(b *testing.B) {
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprintf("links=%d", n), func(b *testing.B) {
			c, u := benchChain(b, n)
			l := &c.links[0]
			var fresh, bare time.Duration
			for b.Loop() {
				begin := time.Now()
				c, err := DecodeProof(c.raw)
				if err == nil {
					_, err = c.Check(u)
				}
				verified := time.Now()
				if err == nil {
					err = l.cap.Issuer.Verify(l.id, l.cap.Signature)
				}
				if err != nil {
					b.Fatal(err)
				}
				fresh += verified.Sub(begin)
				bare += time.Since(verified)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(fresh.Microseconds())/float64(b.N), "us/chain")
			b.ReportMetric(float64(bare.Nanoseconds())/float64(b.N)/1000, "us/signature")
			b.ReportMetric(float64(fresh)/float64(bare), "signatures/chain")
		})
	}
}

// BenchmarkCached checks a use of a chain whose signatures are known to verify.
func BenchmarkCached(b *testing.B) {
	for _, n := range []int{1, 3, 8} {
		b.Run(fmt.Sprintf("links=%d", n), func(b *testing.B) {
			c, u := benchChain(b, n)
			v, err := c.Verify()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Check(u); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
