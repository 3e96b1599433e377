package main

import (
	"fmt"
	"strings"
)

// The payload of the compressed vectors: a LIST of 40 TEXT, and frames that the
// program zstd 1.5 has made of it.
const (
	frameSized    = "28b52ffd603201b5020074030728060c636f6e666f726d616e6365616263646561626364656162636465616263646561626364656162636465616263646561626364652724e0e70a724c8ec9313926c7e4983826c7e4981c9363724cf4156909"
	frameUnsized  = "28b52ffd0058b5020074030728060c636f6e666f726d616e6365616263646561626364656162636465616263646561626364656162636465616263646561626364652724e0e70a724c8ec9313926c7e4983826c7e4981c9363724cf4156909"
	frameChecked  = "28b52ffd643201b5020074030728060c636f6e666f726d616e6365616263646561626364656162636465616263646561626364656162636465616263646561626364652724e0e70a724c8ec9313926c7e4983826c7e4981c9363724cf41569090575e975"
	frameStronger = "28b52ffd0468250100a00728060c636f6e666f726d616e636561626364650500e74950051c070e060e218eb9040575e975"
)

func compressible() []byte {
	var items [][]byte
	for i := range 40 {
		items = append(items, rawT("conformance"+string(rune('a'+i%5))))
	}
	return rawL(items...)
}

// block is a block of a zstd frame: kind 0 is raw, 1 one byte repeated size
// times, 2 compressed.
func block(last bool, kind, size int, b []byte) []byte {
	head := size<<3 | kind<<1
	if last {
		head |= 1
	}
	return join([]byte{byte(head), byte(head >> 8), byte(head >> 16)}, b)
}

// frame is a zstd frame with a window of 1 MiB, which does not say its size.
func frame(blocks ...[]byte) []byte {
	return join(x("28 b5 2f fd 00 50"), join(blocks...))
}

// single is a zstd frame in one segment that says its size in one byte.
func single(size byte, blocks ...[]byte) []byte {
	return join(x("28 b5 2f fd 20"), []byte{size}, join(blocks...))
}

func compressed(b []byte) []byte { return newPacket(b).with(8, 2).bytes() }

// bundles are packets whose payload is read.
func bundles(s *suite) {
	s.spec = "RFC-MYTHOS-0001 §5"
	ok := func(doc string, packet, bundle []byte) {
		s.valid("bundle", "wire.bundle", doc, in{"hex": packet}, out{"bundle": hashText(sum256(bundle))}, "zstd")
	}
	plain := compressible()
	ok("codec 1", newPacket(plain).bytes(), plain)
	ok("a frame that says its size", compressed(x(frameSized)), plain)
	ok("a frame that does not say its size", compressed(x(frameUnsized)), plain)
	ok("a frame with a checksum", compressed(x(frameChecked)), plain)
	ok("a frame with other tables", compressed(x(frameStronger)), plain)
	ok("a raw block", compressed(frame(block(true, 0, 2, x("08 00")))), x("08 00"))
	ok("two raw blocks", compressed(frame(block(false, 0, 1, x("08")), block(true, 0, 1, x("00")))), x("08 00"))
	ok("an empty block last", compressed(frame(block(false, 0, 2, x("08 00")), block(true, 0, 0, nil))), x("08 00"))
	zeros := join(x("05 80 80 04"), make([]byte, 65536))
	ok("a block of one byte repeated 65,536 times", compressed(frame(block(false, 0, 4, x("05 80 80 04")), block(true, 1, 65536, x("00")))), zeros)
	ok("one segment that says its size", compressed(single(2, block(true, 0, 2, x("08 00")))), x("08 00"))
	s.valid("bundle-max", "wire.bundle", "exactly as many bytes as may be", in{"hex": compressed(x(frameUnsized)), "max": "562"}, out{"bundle": hashText(sum256(plain))}, "zstd", "boundary")
	window := func(size byte) []byte {
		return compressed(join(x("28 b5 2f fd 00"), []byte{size}, block(true, 0, 2, x("08 00"))))
	}
	s.valid("bundle-max", "wire.bundle", "a window of 8 MiB, which every decoder should support, however little may be",
		in{"hex": window(0x68), "max": "2"}, out{"bundle": hashText(sum256(x("08 00")))}, "zstd", "boundary")
	s.invalid("bundle-window", "wire.bundle", "a window of 9 MiB where less may be", in{"hex": window(0x69), "max": "2"}, "wire_too_large", "zstd", "boundary")
	s.invalid("bundle-window", "wire.bundle", "a window of 16 MiB where less may be", in{"hex": window(0x70), "max": "2"}, "wire_too_large", "zstd")
	s.invalid("bundle-window", "wire.bundle", "a window of 72 MiB where 64 may be", in{"hex": window(0x81)}, "wire_too_large", "zstd", "boundary")
	s.valid("bundle-max", "wire.bundle", "as many as may be, and the frame says so", in{"hex": compressed(x(frameSized)), "max": "562"}, out{"bundle": hashText(sum256(plain))}, "zstd", "boundary")
}

// framesRefused are payloads that are not exactly one sound frame around one
// canonical value.
func framesRefused(s *suite) {
	bad := func(what, doc string, payload []byte, code string) {
		s.invalid(what, "wire.bundle", doc, in{"hex": compressed(payload)}, code, "zstd")
	}
	good := x(frameChecked)
	bad("frame-magic", "no bytes", nil, "wire_compressed")
	bad("frame-magic", "canonical bytes that are not compressed", x("08 00"), "wire_compressed")
	bad("frame-magic", "gzip", x("1f 8b 08 00 00 00 00 00 00 03"), "wire_compressed")
	bad("frame-magic", "a skippable frame", x("50 2a 4d 18 04 00 00 00 01 02 03 04"), "wire_compressed")
	bad("frame-magic", "a skippable frame before the frame", join(x("50 2a 4d 18 00 00 00 00"), good), "wire_compressed")
	bad("frame-magic", "the magic number in the other byte order", join(x("fd 2f b5 28"), good[4:]), "wire_compressed")
	bad("frame-magic", "the magic number alone", good[:4], "wire_compressed")
	for _, n := range []int{5, 7, 9, 20, len(good) - 5, len(good) - 4, len(good) - 1} {
		bad("frame-cut", fmt.Sprintf("the first %d of %d bytes", n, len(good)), good[:n], "wire_compressed")
	}
	bad("frame-trailing", "a byte after the frame", join(good, []byte{0}), "wire_compressed")
	bad("frame-trailing", "a second frame", join(good, good), "wire_compressed")
	bad("frame-trailing", "an empty frame after it", join(x(frameSized), frame(block(true, 0, 0, nil))), "wire_compressed")
	bad("frame-trailing", "a skippable frame after it", join(good, x("50 2a 4d 18 00 00 00 00")), "wire_compressed")
	bad("frame-header", "a dictionary", join(x("28 b5 2f fd 01 50 07"), block(true, 0, 2, x("08 00"))), "wire_compressed")
	bad("frame-header", "a dictionary id of four bytes", join(x("28 b5 2f fd 03 50 07 00 00 00"), block(true, 0, 2, x("08 00"))), "wire_compressed")
	bad("frame-header", "the reserved bit", join(x("28 b5 2f fd 08 50"), block(true, 0, 2, x("08 00"))), "wire_compressed")
	bad("frame-header", "a size that is cut", x("28 b5 2f fd e0 01 02 03"), "wire_compressed")
	bad("frame-block", "block type 3", frame(block(true, 3, 2, x("08 00"))), "wire_compressed")
	bad("frame-block", "a block of more than 128 KiB", frame(block(true, 1, 131073, x("00"))), "wire_compressed")
	bad("frame-block", "a block that is longer than the frame", frame(block(true, 0, 3, x("08 00"))), "wire_compressed")
	bad("frame-block", "no last block", frame(block(false, 0, 2, x("08 00"))), "wire_compressed")
	bad("frame-block", "a compressed block that is none", frame(block(true, 2, 3, x("ff ff ff"))), "wire_compressed")
	bad("frame-block", "a repeated byte that is not there", frame(block(true, 1, 2, nil)), "wire_compressed")
	damaged := func(at int) []byte { return join(good[:at], []byte{good[at] ^ 1}, good[at+1:]) }
	bad("frame-checksum", "a bit of the checksum", damaged(len(good)-1), "wire_compressed")
	bad("frame-checksum", "a bit of the first checksum byte", damaged(len(good)-4), "wire_compressed")
	bad("frame-checksum", "a bit of a literal", damaged(20), "wire_compressed")
	bad("frame-size", "the frame says one byte more than it has", single(3, block(true, 0, 2, x("08 00"))), "wire_compressed")
	bad("frame-size", "the frame says one byte less than it has", single(1, block(true, 0, 2, x("08 00"))), "wire_compressed")
	bad("frame-size", "the frame says that it is empty", single(0, block(true, 0, 2, x("08 00"))), "wire_compressed")
	bad("frame-size", "the frame says 2^63 bytes", join(x("28 b5 2f fd e0 00 00 00 00 00 00 00 80"), block(true, 0, 2, x("08 00"))), "wire_too_large")
	bad("frame-size", "the frame says 64 MiB and a byte", join(x("28 b5 2f fd a0 01 00 00 04"), block(true, 0, 2, x("08 00"))), "wire_too_large")
	bad("frame-window", "a window of 3.75 TiB", join(x("28 b5 2f fd 00 ff"), block(true, 0, 2, x("08 00"))), "wire_too_large")
	bad("frame-window", "a window of 128 MiB", join(x("28 b5 2f fd 00 88"), block(true, 0, 2, x("08 00"))), "wire_too_large")
	limit := func(doc, digits, most string) {
		s.invalid("bundle-large", "wire.bundle", doc, in{"hex": compressed(x(digits)), "max": most}, "wire_too_large", "zstd", "boundary")
	}
	limit("one byte more than may be", frameUnsized, "561")
	limit("one byte more than may be, and the frame says so", frameSized, "561")
	s.invalid("bundle-large", "wire.bundle", "the frame says 200 bytes where 100 may be, and has two",
		in{"hex": compressed(single(200, block(true, 0, 2, x("08 00")))), "max": "100"}, "wire_too_large", "zstd")
	limit("one byte may be", frameStronger, "1")
	bomb := frame(block(false, 1, 131072, x("00")), block(false, 1, 131072, x("00")), block(true, 1, 131072, x("00")))
	s.invalid("bundle-large", "wire.bundle", "384 KiB from 23 bytes, where 128 KiB may be", in{"hex": compressed(bomb), "max": "131072"}, "wire_too_large", "zstd")
	for _, c := range [][3]string{
		{"nothing", "", "can_truncated"},
		{"two values", "00 00", "can_trailing"},
		{"an unknown tag", "09", "can_tag"},
		{"a MAP out of order", "08 02 03 02 00 03 01 00", "can_key_order"},
		{"a packet", "4d 59 54 48", "can_tag"},
	} {
		b := x(c[1])
		bad("bundle-value", strings.TrimSpace("the frame holds "+c[0]), frame(block(true, 0, len(b), b)), c[2])
	}
}
