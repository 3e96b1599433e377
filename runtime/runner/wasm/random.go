package wasm

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// randomDomain separates the guest's random bytes from every other use of the
// request hash.
const randomDomain = "mythos.wasi.random"

// random is the guest's random source (RFC-MYTHOS-0006 §11.3): the blocks
//
//	SHA-256(seed || u64 counter, big-endian), counter = 0, 1, 2, ..
//
// one after another, seed = SHA-256("mythos.wasi.random" || request hash).
// Whoever knows the request knows the bytes: they keep a guest's maps and ids
// running, they are no secret.
type random struct {
	hash  cid.Hash
	begun bool
	input [40]byte // seed and counter
	block [sha256.Size]byte
	left  []byte // what is unread of block
}

// seed begins the stream of a request; most guests never read it.
func (r *random) seed(requestHash cid.Hash) { *r = random{hash: requestHash} }

// Read fills p. It never fails.
func (r *random) Read(p []byte) (int, error) {
	if !r.begun {
		seed := sha256.Sum256(append([]byte(randomDomain), r.hash[:]...))
		copy(r.input[:], seed[:])
		r.begun = true
	}
	n := len(p)
	for len(p) > 0 {
		if len(r.left) == 0 {
			r.block = sha256.Sum256(r.input[:])
			r.left = r.block[:]
			counter := r.input[sha256.Size:]
			binary.BigEndian.PutUint64(counter, binary.BigEndian.Uint64(counter)+1)
		}
		m := copy(p, r.left)
		p, r.left = p[m:], r.left[m:]
	}
	return n, nil
}
