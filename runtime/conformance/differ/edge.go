package differ

import (
	"math/big"
	"math/rand/v2"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// points are encodings that no key and no R may have, and their neighbours:
// points of low order, y not below the prime, x = 0 with a sign, no point at all.
var points = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"0200000000000000000000000000000000000000000000000000000000000000",
	"0300000000000000000000000000000000000000000000000000000000000000",
	"0300000000000000000000000000000000000000000000000000000000000080",
	"5866666666666666666666666666666666666666666666666666666666666666",
}

func point(r *rand.Rand) []byte { return pointAt(r.IntN(len(points))) }

// pointAt is an encoding of the table; the first lowOrder are of points whose
// order divides 8, number identity is that of the neutral one.
func pointAt(i int) []byte {
	n, _ := new(big.Int).SetString(points[i], 16)
	return n.FillBytes(make([]byte, 32))
}

const (
	lowOrder = 10
	identity = 2
)

// smallGroup is a key of low order with an R of low order and S = 0: the equation
// holds for many of these, whatever the message.
func smallGroup(r *rand.Rand) (key, sig []byte) {
	key, sig = pointAt(r.IntN(lowOrder)), make([]byte, 64)
	switch r.IntN(3) {
	case 0:
		copy(sig, pointAt(identity))
	case 1:
		copy(sig, key)
	default:
		copy(sig, pointAt(r.IntN(lowOrder)))
	}
	return key, sig
}

// order is the order of the base point, L in RFC-MYTHOS-0001 §4.1.
func order() *big.Int {
	l, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	return l.Add(l, new(big.Int).Lsh(big.NewInt(1), 252))
}

// edgeSignature is a signature after a change that verifiers have disagreed
// about, or none.
func edgeSignature(r *rand.Rand, sig []byte) []byte {
	sig = slices.Clone(sig)
	switch r.IntN(8) {
	case 0: // S + nL, the same scalar
		n := new(big.Int).Mul(order(), big.NewInt(1+r.Int64N(8)))
		putScalar(sig[32:], n.Add(n, scalar(sig[32:])))
	case 1: // S near L, 0 and the top
		s := []*big.Int{order(), big.NewInt(0), big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 253), new(big.Int).Lsh(big.NewInt(1), 255)}[r.IntN(5)]
		putScalar(sig[32:], s.Add(s, big.NewInt(r.Int64N(3)-1)).Abs(s))
	case 2: // -S
		putScalar(sig[32:], new(big.Int).Sub(order(), scalar(sig[32:])))
	case 3:
		copy(sig, point(r))
	case 4:
		sig[31] ^= 0x80
	case 5, 6:
		sig = flipBit(r, sig)
	}
	return sig
}

func scalar(b []byte) *big.Int {
	b = slices.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

// putScalar writes n modulo 2^256.
func putScalar(b []byte, n *big.Int) {
	n = new(big.Int).And(n, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)))
	n.FillBytes(b)
	slices.Reverse(b)
}

// verifyInput is a signature that may be right, by a key that may be one.
func verifyInput(g *Generator, r *rand.Rand, _ uint64) (string, any) {
	k := g.key(r)
	agent := k.Agent()
	msg := digest(r)
	key, sig := slices.Clone(agent.Key[:]), signatureBy(k, cid.Hash(msg))
	switch r.IntN(8) {
	case 0, 1, 2:
		sig = edgeSignature(r, sig)
	case 3:
		if key = point(r); r.IntN(4) > 0 {
			key, sig = smallGroup(r)
		}
	case 4:
		msg = spoilt(r, msg)
	case 5:
		switch n := r.IntN(3); n {
		case 0:
			key = spoilt(r, key)
		default:
			sig = spoilt(r, sig)
		}
	}
	return "sig.verify", in{"key": key, "message": msg, "sig": sig}
}
