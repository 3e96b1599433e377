package fuel

import (
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// cursor reads b and remembers its first error. base is the offset of b in the
// file.
type cursor struct {
	b         []byte
	off, base int
	err       error
}

func (c *cursor) fail(code fault.Code, format string, args ...any) {
	if c.err == nil {
		c.err = fault.At(code, c.base+c.off, format, args...)
	}
	c.b = c.b[:c.off]
}

func (c *cursor) more() bool { return c.err == nil && c.off < len(c.b) }

func (c *cursor) byte() byte {
	if c.off >= len(c.b) {
		c.fail(ErrMalformed, "the module ends too early")
		return 0
	}
	c.off++
	return c.b[c.off-1]
}

func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)-c.off) {
		c.fail(ErrMalformed, "a length of %d with %d bytes left", n, len(c.b)-c.off)
		return nil
	}
	c.off += int(n)
	return c.b[c.off-int(n) : c.off]
}

// u32 reads an unsigned LEB128 of at most five bytes, not necessarily minimal.
func (c *cursor) u32() uint32 {
	if c.off < len(c.b) && c.b[c.off] < 0x80 {
		c.off++
		return uint32(c.b[c.off-1])
	}
	var v uint64
	for i := range 5 {
		d := c.byte()
		v |= uint64(d&0x7f) << (7 * i)
		if d < 0x80 {
			if v >= 1<<32 {
				break
			}
			return uint32(v)
		}
	}
	c.fail(ErrMalformed, "a number exceeds 32 bits")
	return 0
}

// signed reads a signed LEB128 of at most n bits; unused bits must extend the
// sign.
func (c *cursor) signed(bits int) int64 {
	var v int64
	for shift := 0; shift < bits; shift += 7 {
		d := c.byte()
		v |= int64(d&0x7f) << shift
		if d >= 0x80 {
			continue
		}
		if shift+7 < 64 && d&0x40 != 0 {
			v |= -1 << (shift + 7)
		}
		left := bits - shift // bits that the last byte may use
		if left < 7 {
			if top := int8(d<<1) >> left; top != 0 && top != -1 {
				break
			}
		}
		return v
	}
	c.fail(ErrMalformed, "a number exceeds %d bits", bits)
	return 0
}

// count reads the length of a vector whose items take at least one byte each.
func (c *cursor) count(code fault.Code, limit uint32, what string) int {
	n := c.u32()
	if n > limit {
		c.fail(code, "%d %s, at most %d", n, what, limit)
		return 0
	}
	if int64(n) > int64(len(c.b)-c.off) {
		c.fail(ErrMalformed, "%d %s in %d bytes", n, what, len(c.b)-c.off)
		return 0
	}
	return int(n)
}

func (c *cursor) name() string {
	b := c.take(uint64(c.count(ErrTooLarge, maxName, "bytes of a name")))
	if !utf8.Valid(b) {
		c.fail(ErrMalformed, "a name that is not UTF-8")
	}
	return string(b)
}

// end fails unless everything was read.
func (c *cursor) end(what string) {
	if c.err == nil && c.off != len(c.b) {
		c.fail(ErrMalformed, "%d bytes are left in %s", len(c.b)-c.off, what)
	}
}

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendS64(b []byte, v int64) []byte {
	for {
		d := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && d&0x40 == 0) || (v == -1 && d&0x40 != 0) {
			return append(b, d)
		}
		b = append(b, d|0x80)
	}
}

func appendName(b []byte, s string) []byte { return append(appendU32(b, uint32(len(s))), s...) }
