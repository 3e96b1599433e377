package main

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha512"
	"fmt"
	"math/big"
	"strings"
)

// signer is a TEST-ONLY key.
type signer struct {
	name   string
	seed   []byte
	secret ed25519.PrivateKey
	public []byte
}

// signer returns the key with a name, the same one every time.
func newSigner(name string) signer {
	seed := digest("TEST-ONLY key " + name)
	secret := ed25519.NewKeyFromSeed(seed)
	return signer{name, seed, secret, secret[32:]}
}

func (k signer) agent() []byte { return agent(1, k.public, "") }

func (k signer) keyID() []byte { return sum256(k.agent()) }

func (k signer) sign(msg []byte) []byte { return ed25519.Sign(k.secret, msg) }

// sig is the suite of signatures: Ed25519's strict profile, and signed objects.
func sig(p *pack) {
	s := p.suite("sig", "RFC-MYTHOS-0001", "Ed25519 under the strict profile, and the ids and signatures of every signed struct.")
	s.spec = "RFC-MYTHOS-0001 §4.1"
	s.flag("small-order", "a point of order 1, 2, 4 or 8")
	s.flag("non-canonical", "another encoding of a point or number")
	s.flag("cofactor", "the cofactored and the cofactorless equation disagree, or almost do")
	s.flag("malleable", "what somebody without the key can make of a signature")
	a, b := newSigner("alice"), newSigner("bob")
	sigValid(s, a, b)
	sigNear(s, a)
	sigDamaged(s, a, b)
	e := &edges{s, newCurve(), a}
	e.scalars()
	e.smallKeys()
	e.smallR()
	e.mixed()
	e.offCurve()
	objects(s, a, b)
	for _, k := range []signer{a, b} {
		p.key(k)
	}
}

func verifies(s *suite, what, doc string, key, msg, signature []byte, flags ...string) {
	s.valid(what, "sig.verify", doc, in{"key": key, "message": msg, "sig": signature}, out{}, flags...)
}

func forged(s *suite, what, doc string, key, msg, signature []byte, flags ...string) {
	s.invalid(what, "sig.verify", doc, in{"key": key, "message": msg, "sig": signature}, "signature_invalid", flags...)
}

func sigValid(s *suite, a, b signer) {
	for _, k := range []signer{a, b} {
		for _, n := range []int{0, 1, 32, 127, 128, 1000} {
			msg := []byte(strings.Repeat("v", n))
			verifies(s, "verify", fmt.Sprintf("a message of %d bytes by %s", n, k.name), k.public, msg, k.sign(msg))
		}
	}
}

// sigNear are signatures with an encoding close to p: a check of canonical bytes
// that looks at too few of them refuses one.
func sigNear(s *suite, a signer) {
	near := func(b []byte, low byte) bool { return b[31]&0x7f == 0x7f && b[0] >= low }
	for _, sign := range []byte{0, 0x80} {
		for i := 0; ; i++ {
			msg := digest(fmt.Sprintf("near p %d", i))
			if good := a.sign(msg); near(good, 0xed) && good[31]&0x80 == sign {
				verifies(s, "near-p", "R whose first and last bytes are those of p", a.public, msg, good, "non-canonical")
				break
			}
		}
		for i := 0; ; i++ {
			if k := newSigner(fmt.Sprintf("near p %d", i)); near(k.public, 0xed) && k.public[31]&0x80 == sign {
				verifies(s, "near-p", "a key whose first and last bytes are those of p", k.public, digest("near"), k.sign(digest("near")), "non-canonical")
				break
			}
		}
	}
}

// flipped is b with one bit changed.
func flipped(b []byte, bit int) []byte {
	c := join(b)
	c[bit/8] ^= 1 << (bit % 8)
	return c
}

func sigDamaged(s *suite, a, b signer) {
	msg := digest("message")
	good := a.sign(msg)
	for _, bit := range []int{0, 7, 100, 254, 255} {
		forged(s, "flipped-r", fmt.Sprintf("bit %d of R", bit), a.public, msg, flipped(good, bit))
		forged(s, "flipped-s", fmt.Sprintf("bit %d of S", bit), a.public, msg, flipped(good, 256+bit))
		forged(s, "flipped-key", fmt.Sprintf("bit %d of the key", bit), flipped(a.public, bit), msg, good)
		forged(s, "flipped-message", fmt.Sprintf("bit %d of the message", bit), a.public, flipped(msg, bit), good)
	}
	forged(s, "other", "another key", b.public, msg, good)
	forged(s, "other", "another message", a.public, digest("another"), good)
	forged(s, "other", "the message without its last byte", a.public, msg[:31], good)
	forged(s, "other", "the message and one byte more", a.public, append(msg[:32:32], 0), good)
	forged(s, "other", "S before R", a.public, msg, join(good[32:], good[:32]))
	forged(s, "other", "R of another signature", a.public, msg, join(a.sign(digest("another"))[:32], good[32:]))
	forged(s, "other", "a signature of all zero", a.public, msg, make([]byte, 64))
	forged(s, "other", "a key of all zero", make([]byte, 32), msg, good, "small-order")
	forged(s, "other", "a signature of the message's SHA-256", a.public, msg, a.sign(sum256(msg)))
	for _, n := range []int{0, 31, 33, 64} {
		forged(s, "key-length", fmt.Sprintf("a key of %d bytes", n), join(a.public, a.public)[:n], msg, good)
	}
	for _, n := range []int{0, 32, 63, 65, 128} {
		forged(s, "sig-length", fmt.Sprintf("a signature of %d bytes", n), a.public, msg, join(good, good)[:n])
	}
	h := sha512.Sum512(msg)
	ph, err := a.secret.Sign(nil, h[:], &ed25519.Options{Hash: crypto.SHA512})
	if err != nil {
		s.p.fail("Ed25519ph: %w", err)
		return
	}
	forged(s, "variant", "Ed25519ph over the message", a.public, msg, ph)
	ctx, err := a.secret.Sign(nil, msg, &ed25519.Options{Context: "mythos"})
	if err != nil {
		s.p.fail("Ed25519ctx: %w", err)
		return
	}
	forged(s, "variant", "Ed25519ctx over the message", a.public, msg, ctx)
}

// edges makes what RFC-MYTHOS-0001 §4.1 refuses though some libraries do not, or
// accepts though some do not.
type edges struct {
	*suite
	c *curve
	k signer
}

// message finds a message for which a test holds; mostly of its challenge.
func (e *edges) message(seed string, test func(msg []byte) bool) []byte {
	for i := 0; ; i++ {
		if msg := digest(fmt.Sprintf("%s %d", seed, i)); test(msg) {
			return msg
		}
	}
}

// scalars are values of S outside 0..L-1.
func (e *edges) scalars() {
	msg := digest("scalar")
	good := e.k.sign(msg)
	s := number(good[32:])
	for i := int64(1); i <= 8; i++ {
		more := new(big.Int).Add(s, new(big.Int).Mul(big.NewInt(i), e.c.l))
		forged(e.suite, "s-not-reduced", fmt.Sprintf("S + %d L", i), e.k.public, msg, join(good[:32], e.c.bytes(more)), "malleable")
	}
	for _, c := range []struct {
		doc string
		n   *big.Int
	}{
		{"S = L", e.c.l},
		{"S = L - 1", new(big.Int).Sub(e.c.l, big.NewInt(1))},
		{"S = 0", big.NewInt(0)},
		{"S = 2^256 - 1", new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))},
		{"S = 2^253", new(big.Int).Lsh(big.NewInt(1), 253)},
		{"S = L - S", new(big.Int).Sub(e.c.l, s)},
	} {
		forged(e.suite, "s-edge", c.doc, e.k.public, msg, join(good[:32], e.c.bytes(c.n)))
	}
}

// encodings of the points of small order: canonical ones and others.
func (e *edges) small() (canonical, others [][]byte) {
	t := e.c.order8()
	at := e.c.zero()
	for range 8 {
		canonical = append(canonical, e.c.encode(at))
		at = e.c.plus(at, t)
	}
	one, top := big.NewInt(1), new(big.Int).Sub(e.c.p, big.NewInt(1))
	sign := func(b []byte) []byte { return flipped(b, 255) }
	others = [][]byte{
		sign(e.c.bytes(one)), sign(e.c.bytes(top)), e.c.bytes(e.c.p), sign(e.c.bytes(e.c.p)),
		e.c.bytes(new(big.Int).Add(e.c.p, one)), sign(e.c.bytes(new(big.Int).Add(e.c.p, one))),
	}
	return canonical, others
}

// smallKeys are keys of small order: with R = [S]B they verify every message
// whose challenge is a multiple of 8, for whoever asks only the equation.
func (e *edges) smallKeys() {
	canonical, others := e.small()
	s := e.c.bytes(big.NewInt(7))
	r := e.c.encode(e.c.times(big.NewInt(7), e.c.base))
	try := func(what string, key []byte, flags ...string) {
		msg := e.message("small key", func(m []byte) bool {
			return new(big.Int).Mod(e.c.challenge(r, key, m), big.NewInt(8)).Sign() == 0
		})
		forged(e.suite, what, fmt.Sprintf("key %x: the equation holds, without any secret", key), key, msg, join(r, s), flags...)
	}
	for _, key := range canonical {
		try("key-small-order", key, "small-order")
	}
	for _, key := range others {
		try("key-non-canonical", key, "small-order", "non-canonical")
	}
}

// smallR are signatures whose R is of small order, made with the key, and one
// whose key has a part of small order, so that any R can be met.
func (e *edges) smallR() {
	a, _ := e.c.secret(e.k.seed)
	zero := e.c.encode(e.c.zero())
	msg := digest("small R")
	sign := func(r []byte) []byte {
		return join(r, e.c.respond(big.NewInt(0), e.c.challenge(r, e.k.public, msg), a))
	}
	forged(e.suite, "r-small-order", "R is the neutral element, and the equation holds", e.k.public, msg, sign(zero), "small-order")
	canonical, others := e.small()
	t := e.c.order8()
	key := e.c.encode(e.c.plus(e.c.times(a, e.c.base), t))
	for i, r := range canonical[1:] {
		want := big.NewInt(int64(7 - i)) // -k mod 8 = i+1
		m := e.message("torsion R", func(m []byte) bool {
			return new(big.Int).Mod(e.c.challenge(r, key, m), big.NewInt(8)).Cmp(want) == 0
		})
		forged(e.suite, "r-small-order", fmt.Sprintf("R %x, and the equation holds for a key with torsion", r), key, m,
			join(r, e.c.respond(big.NewInt(0), e.c.challenge(r, key, m), a)), "small-order", "cofactor")
	}
	for _, r := range others {
		forged(e.suite, "r-non-canonical", fmt.Sprintf("R %x", r), e.k.public, msg, sign(r), "small-order", "non-canonical")
	}
}

// mixed are keys and Rs with a part of small order: only the cofactorless
// equation counts.
func (e *edges) mixed() {
	a, _ := e.c.secret(e.k.seed)
	n := number(digest("nonce"))
	n.Mod(n, e.c.l)
	t := e.c.order8()
	pureR := e.c.times(n, e.c.base)
	pure := e.c.times(a, e.c.base)
	sign := func(keyT, rT, rest int64) (key, msg, signature []byte) {
		key = e.c.encode(e.c.plus(pure, e.c.times(big.NewInt(keyT), t)))
		r := e.c.encode(e.c.plus(pureR, e.c.times(big.NewInt(rT), t)))
		msg = e.message("mixed", func(m []byte) bool {
			return new(big.Int).Mod(e.c.challenge(r, key, m), big.NewInt(8)).Int64() == rest
		})
		return key, msg, join(r, e.c.respond(n, e.c.challenge(r, key, msg), a))
	}
	good := func(doc string, keyT, rT, rest int64) {
		key, msg, signature := sign(keyT, rT, rest)
		verifies(e.suite, "mixed", doc, key, msg, signature, "cofactor")
	}
	bad := func(what, doc string, keyT, rT, rest int64) {
		key, msg, signature := sign(keyT, rT, rest)
		forged(e.suite, what, doc, key, msg, signature, "cofactor")
	}
	good("a key with torsion, and a challenge that is a multiple of 8", 1, 0, 0)
	good("a key with torsion of order 2, and an even challenge", 4, 0, 2)
	good("a key and an R with torsion that cancel", 1, 1, 7)
	good("a key and an R with other torsion that cancel", 3, 2, 2)
	bad("mixed-key", "a key with torsion, and an odd challenge", 1, 0, 1)
	bad("mixed-key", "a key with torsion, and a challenge of 4 mod 8", 1, 0, 4)
	bad("mixed-key", "a key with torsion of order 2, and an odd challenge", 4, 0, 3)
	bad("mixed-key", "a key with torsion of order 4, and a challenge of 2 mod 4", 2, 0, 2)
	for i := int64(1); i < 8; i++ {
		bad("mixed-r", fmt.Sprintf("R with %d times the torsion: only the cofactored equation holds", i), 0, i, 0)
	}
	bad("mixed-both", "a key and an R with torsion that does not cancel", 1, 1, 1)
	bad("mixed-both", "a key and an R with torsion, and a challenge that is a multiple of 8", 1, 1, 0)
}

// offCurve are encodings that are no point, or no reduced coordinate.
func (e *edges) offCurve() {
	msg := digest("off")
	good := e.k.sign(msg)
	n := 0
	for y := int64(2); n < 3; y++ {
		b := e.c.bytes(big.NewInt(y))
		if _, ok := e.c.decode(b); ok {
			continue
		}
		n++
		forged(e.suite, "off-curve", fmt.Sprintf("the key's y is %d, which no point has", y), b, msg, good)
		forged(e.suite, "off-curve", fmt.Sprintf("R's y is %d, which no point has", y), e.k.public, msg, join(b, good[32:]))
	}
	n = 0
	for y := int64(2); n < 3 && y < 19; y++ {
		if _, ok := e.c.decode(e.c.bytes(big.NewInt(y))); !ok {
			continue
		}
		n++
		b := e.c.bytes(new(big.Int).Add(e.c.p, big.NewInt(y)))
		forged(e.suite, "not-reduced", fmt.Sprintf("the key's y is p + %d", y), b, msg, good, "non-canonical")
		forged(e.suite, "not-reduced", fmt.Sprintf("R's y is p + %d", y), e.k.public, msg, join(b, good[32:]), "non-canonical")
	}
}
