package caps

import (
	"fmt"
	"testing"

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

// BenchmarkSignature is one signature verification, which the others are held against.
func BenchmarkSignature(b *testing.B) {
	c, _ := benchChain(b, 1)
	l := &c.links[0]
	for b.Loop() {
		if err := l.cap.Issuer.Verify(l.id, l.cap.Signature); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFresh decodes a proof, verifies it and checks a use.
func BenchmarkFresh(b *testing.B) {
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprintf("links=%d", n), func(b *testing.B) {
			c, u := benchChain(b, n)
			for b.Loop() {
				c, err := DecodeProof(c.raw)
				if err == nil {
					_, err = c.Check(u)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
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
