package main

import (
	"crypto/sha512"
	"math/big"
	"slices"
)

// The curve of Ed25519 in plain numbers, to make what no signer makes. It is slow
// and not constant in time; its keys are public anyway.

// curve holds the constants of RFC 8032 §5.1.
type curve struct {
	p, l, d, i *big.Int // field, order, d and the square root of -1
	base       point
}

// point is affine.
type point struct{ x, y *big.Int }

func bigOf(decimal string) *big.Int {
	n, ok := new(big.Int).SetString(decimal, 10)
	if !ok {
		panic("not a number: " + decimal) // a mistake in this program
	}
	return n
}

func newCurve() *curve {
	c := &curve{
		p: new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19)),
		l: new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 252), bigOf("27742317777372353535851937790883648493")),
	}
	c.d = c.mul(big.NewInt(-121665), c.inv(big.NewInt(121666)))
	c.i = new(big.Int).Exp(big.NewInt(2), new(big.Int).Rsh(new(big.Int).Sub(c.p, big.NewInt(1)), 2), c.p)
	y := c.mul(big.NewInt(4), c.inv(big.NewInt(5)))
	base, _ := c.decode(c.bytes(y))
	c.base = base
	return c
}

func (c *curve) mod(n *big.Int) *big.Int    { return n.Mod(n, c.p) }
func (c *curve) mul(a, b *big.Int) *big.Int { return c.mod(new(big.Int).Mul(a, b)) }
func (c *curve) add(a, b *big.Int) *big.Int { return c.mod(new(big.Int).Add(a, b)) }
func (c *curve) sub(a, b *big.Int) *big.Int { return c.mod(new(big.Int).Sub(a, b)) }
func (c *curve) inv(a *big.Int) *big.Int {
	return new(big.Int).ModInverse(c.mod(new(big.Int).Set(a)), c.p)
}

// bytes is n in 32 bytes, little-endian.
func (c *curve) bytes(n *big.Int) []byte {
	b := make([]byte, 32)
	n.FillBytes(b)
	slices.Reverse(b)
	return b
}

func number(b []byte) *big.Int {
	b = slices.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

func (c *curve) zero() point { return point{big.NewInt(0), big.NewInt(1)} }

func (c *curve) plus(a, b point) point {
	t := c.mul(c.d, c.mul(c.mul(a.x, b.x), c.mul(a.y, b.y)))
	one := big.NewInt(1)
	return point{
		c.mul(c.add(c.mul(a.x, b.y), c.mul(b.x, a.y)), c.inv(c.add(one, t))),
		c.mul(c.add(c.mul(a.y, b.y), c.mul(a.x, b.x)), c.inv(c.sub(one, t))),
	}
}

func (c *curve) times(n *big.Int, a point) point {
	out := c.zero()
	for i := n.BitLen() - 1; i >= 0; i-- {
		out = c.plus(out, out)
		if n.Bit(i) == 1 {
			out = c.plus(out, a)
		}
	}
	return out
}

func (c *curve) encode(a point) []byte {
	b := c.bytes(a.y)
	b[31] |= byte(a.x.Bit(0)) << 7
	return b
}

// decode decodes a point, canonical or not; false if it is not on the curve.
func (c *curve) decode(b []byte) (point, bool) {
	b = slices.Clone(b)
	sign := uint(b[31] >> 7)
	b[31] &= 0x7f
	y := c.mod(number(b))
	yy := c.mul(y, y)
	xx := c.mul(c.sub(yy, big.NewInt(1)), c.inv(c.add(c.mul(c.d, yy), big.NewInt(1))))
	e := new(big.Int).Rsh(new(big.Int).Add(c.p, big.NewInt(3)), 3)
	root := new(big.Int).Exp(xx, e, c.p)
	if c.mul(root, root).Cmp(xx) != 0 {
		root = c.mul(root, c.i)
	}
	if c.mul(root, root).Cmp(xx) != 0 {
		return point{}, false
	}
	if root.Bit(0) != sign {
		root = c.sub(big.NewInt(0), root)
	}
	return point{root, y}, true
}

// order8 is a point of order 8: what is left of any point with torsion when its
// part of order L is taken away.
func (c *curve) order8() point {
	for y := int64(2); ; y++ {
		a, ok := c.decode(c.bytes(big.NewInt(y)))
		if !ok {
			continue
		}
		t := c.times(c.l, a)
		if !c.same(c.times(big.NewInt(4), t), c.zero()) {
			return t
		}
	}
}

func (c *curve) same(a, b point) bool { return a.x.Cmp(b.x) == 0 && a.y.Cmp(b.y) == 0 }

// challenge is k = SHA-512(R || A || M) mod L, and the number before it is
// reduced.
func (c *curve) challenge(r, a, msg []byte) *big.Int {
	h := sha512.Sum512(join(r, a, msg))
	return new(big.Int).Mod(number(h[:]), c.l)
}

// secret is the scalar of a seed and the prefix of its nonces.
func (c *curve) secret(seed []byte) (a *big.Int, prefix []byte) {
	h := sha512.Sum512(seed)
	h[0] &= 248
	h[31] = h[31]&127 | 64
	return number(h[:32]), h[32:]
}

// respond is S = r + k*a mod L.
func (c *curve) respond(r, k, a *big.Int) []byte {
	s := new(big.Int).Mul(k, a)
	s.Add(s, r)
	return c.bytes(s.Mod(s, c.l))
}
