"""Ed25519 under the strict profile of RFC-MYTHOS-0001 §4.1, so that every
language gives one verdict.

A signature R || S of M by A is accepted if and only if the lengths are exact; A
and R are canonical (y < 2^255-19, and not x = 0 with the sign bit set) and not
of low order; S < L; and [S]B - [k]A encodes to R byte for byte.

There are two paths with the same verdicts: the package ``cryptography``, with
the checks that its OpenSSL does not make before it, and a pure one. The pure
path is not constant-time: verify with it, and sign nothing of value.
"""

from __future__ import annotations

import hashlib

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    BACKEND = "cryptography"
except ImportError:
    BACKEND = "pure"
"""Which path verify takes."""

P = (1 << 255) - 19
L = (1 << 252) + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, P) % P
_SQRT_M1 = pow(2, (P - 1) // 4, P)
_SIGN = 1 << 255

# The y coordinates of the eight points of order 1, 2, 4 and 8. Those with x = 0
# are y = 1 and y = -1, so that the sign bit need not be looked at.
_LOW_ORDER = frozenset(
    int.from_bytes(bytes.fromhex(y), "little")
    for y in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
)


def canonical_point(encoded: bytes) -> bool:
    """Report whether 32 bytes may be a key or the first half of a signature:
    y below the prime, not of low order, not a negative zero.
    """
    y = int.from_bytes(encoded, "little") & _SIGN - 1
    return len(encoded) == 32 and y < P and y not in _LOW_ORDER


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Report whether signature is one of message by public."""
    if BACKEND == "pure":
        return verify_pure(public, message, signature)
    return verify_cryptography(public, message, signature)


def _admitted(public: bytes, signature: bytes) -> bool:
    return len(signature) == 64 and canonical_point(public) and canonical_point(signature[:32])


def verify_cryptography(public: bytes, message: bytes, signature: bytes) -> bool:
    """verify by the package cryptography, which checks S and the equation."""
    if not _admitted(public, signature):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except UnsupportedAlgorithm:  # an OpenSSL built without Ed25519
        return verify_pure(public, message, signature)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify_pure(public: bytes, message: bytes, signature: bytes) -> bool:
    """verify without any library."""
    if not _admitted(public, signature):
        return False
    s = int.from_bytes(signature[32:], "little")
    point = _decompress(public)
    if s >= L or point is None:
        return False
    k = _hash_scalar(signature[:32], public, message)
    x, y, z, t = point
    return _compress(_sum_of(s, _BASE, k, (P - x, y, z, P - t))) == signature[:32]


def public_key(seed: bytes) -> bytes:
    """Return the public key of a 32-byte seed (RFC 8032)."""
    scalar, _ = _expand(seed)
    return _compress(_sum_of(scalar, _BASE, 0, _BASE))


def sign(seed: bytes, message: bytes) -> bytes:
    """Return the RFC 8032 signature of message, by cryptography if it is there.

    It is for tests and tools: keep keys of value in a signer of their own.
    """
    if BACKEND == "pure":
        return sign_pure(seed, message)
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def sign_pure(seed: bytes, message: bytes) -> bytes:
    """sign without any library; its time depends on the secret."""
    scalar, prefix = _expand(seed)
    public = public_key(seed)
    nonce = _hash_scalar(prefix, message)
    r = _compress(_sum_of(nonce, _BASE, 0, _BASE))
    s = (nonce + _hash_scalar(r, public, message) * scalar) % L
    return r + s.to_bytes(32, "little")


def _expand(seed: bytes) -> tuple[int, bytes]:
    if len(seed) != 32:
        raise ValueError(f"a seed has 32 bytes, got {len(seed)}")
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    return scalar & (1 << 254) - 8 | 1 << 254, digest[32:]


def _hash_scalar(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L


# A point in extended coordinates: x = X/Z, y = Y/Z, xy = T/Z.
Point = tuple[int, int, int, int]


def _add(p: Point, q: Point) -> Point:
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * _D * p[3] * q[3] % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _double(p: Point) -> Point:
    x, y, z, _ = p
    a = x * x % P
    b = y * y % P
    h = a + b
    e = h - (x + y) * (x + y)
    g = a - b
    f = 2 * z * z + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def _sum_of(a: int, p: Point, b: int, q: Point) -> Point:
    """Return [a]p + [b]q, doubling once for both."""
    both = _add(p, q)
    total = (0, 1, 1, 0)
    for i in range(max(a.bit_length(), b.bit_length()) - 1, -1, -1):
        total = _double(total)
        bits = a >> i & 1, b >> i & 1
        if bits == (1, 1):
            total = _add(total, both)
        elif bits == (1, 0):
            total = _add(total, p)
        elif bits == (0, 1):
            total = _add(total, q)
    return total


def _compress(p: Point) -> bytes:
    x, y, z, _ = p
    inverse = pow(z, -1, P)
    return (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(32, "little")


def _decompress(encoded: bytes) -> Point | None:
    """Return the point, or None if there is none with that y."""
    n = int.from_bytes(encoded, "little")
    y, sign = n & _SIGN - 1, n >> 255
    u, v = (y * y - 1) % P, (_D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * _SQRT_M1 % P
        if (v * x * x - u) % P:
            return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def _base() -> Point:
    point = _decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    assert point is not None  # y = 4/5 is on the curve
    return point


_BASE = _base()
