package sig

import "crypto/ed25519"

// VerifyStrict reports whether sig is a signature of msg by pub under the strict
// profile of RFC-MYTHOS-0001 §4.1: exact lengths; A and R canonical and not of
// low order; S < L; and [S]B - [k]A encoding to R byte for byte. The standard
// library checks S and the (cofactorless) equation; the rest is checked here.
func VerifyStrict(pub, msg, sig []byte) bool {
	if len(pub) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize {
		return false
	}
	if !canonicalPoint([32]byte(pub)) || !canonicalPoint([32]byte(sig[:32])) {
		return false
	}
	return ed25519.Verify(pub, msg, sig)
}

// canonicalPoint reports whether p encodes y < 2^255-19 and is neither a
// low-order point nor a "negative zero" x. The low-order points have five y
// coordinates, with either sign bit; the encodings of x = 0 are y = 1 and -1,
// two of the five.
func canonicalPoint(p [32]byte) bool {
	p[31] &= 0x7f
	return belowPrime(p) && !lowOrder(p)
}

// lowOrder reports whether y, without its sign bit, is that of a point of order
// 1, 2, 4 or 8.
func lowOrder(y [32]byte) bool {
	switch y {
	case [32]byte{}, // order 4
		[32]byte{1}, // the neutral element
		// -1: order 2
		[32]byte{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		// order 8
		[32]byte{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
		[32]byte{0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a}:
		return true
	}
	return false
}

// belowPrime reports whether the little-endian y is below 2^255-19.
func belowPrime(y [32]byte) bool {
	if y[31] != 0x7f || y[0] < 0xed {
		return true
	}
	for _, c := range y[1:31] {
		if c != 0xff {
			return true
		}
	}
	return false
}
