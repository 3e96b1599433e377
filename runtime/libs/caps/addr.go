package caps

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Addr is an IP address: 4 bytes or 16. An IPv4 address in IPv6 clothes
// (::ffff:a.b.c.d) is the IPv4 address, so that no address has two forms. The
// zero value is no address.
type Addr struct {
	bytes [16]byte
	size  uint8 // 4 or 16
}

// AddrFrom returns the address with the given 4 or 16 bytes, in network order.
func AddrFrom(b []byte) (a Addr, ok bool) {
	const mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"
	if len(b) == 16 && string(b[:12]) == mapped {
		b = b[12:]
	}
	if len(b) != 4 && len(b) != 16 {
		return a, false
	}
	a.size = uint8(copy(a.bytes[:], b))
	return a, true
}

// ParseAddr reads an address that is written as String writes it, and no other
// way: "010.0.0.1", "0x7f.1", "::FFFF:1.2.3.4" and zones are not addresses.
func ParseAddr(s string) (Addr, bool) {
	var b []byte
	var ok bool
	if strings.Contains(s, ":") {
		b, ok = parse6(s)
	} else {
		b, ok = parse4(s)
	}
	if !ok {
		return Addr{}, false
	}
	a, ok := AddrFrom(b)
	return a, ok && a.String() == s
}

func parse4(s string) ([]byte, bool) {
	parts := strings.SplitN(s, ".", 5)
	b := make([]byte, len(parts))
	for i, p := range parts {
		n, ok := decimal(p)
		if !ok || n > 255 {
			return nil, false
		}
		b[i] = byte(n)
	}
	return b, len(b) == 4
}

// parse6 reads groups of 1 to 4 hex digits with at most one "::" for the rest.
func parse6(s string) ([]byte, bool) {
	head, tail, gap := strings.Cut(s, "::")
	front, ok1 := groups(head)
	back, ok2 := groups(tail)
	have := len(front) + len(back)
	if !ok1 || !ok2 || have > 16 || gap == (have == 16) {
		return nil, false
	}
	b := make([]byte, 16)
	copy(b, front)
	copy(b[16-len(back):], back)
	return b, true
}

func groups(s string) ([]byte, bool) {
	if s == "" {
		return nil, true
	}
	var b []byte
	for g := range strings.SplitSeq(s, ":") {
		n, err := strconv.ParseUint(g, 16, 16)
		if err != nil || len(b) == 16 {
			return nil, false
		}
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	return b, true
}

// String returns the one text of an address: dotted decimal, or RFC 5952 with
// hexadecimal groups only ("2001:db8::1"). That of the zero value is "".
func (a Addr) String() string {
	switch a.size {
	case 4:
		return fmt.Sprintf("%d.%d.%d.%d", a.bytes[0], a.bytes[1], a.bytes[2], a.bytes[3])
	case 16:
		return a.text6()
	}
	return ""
}

// text6 replaces the first of the longest runs of two or more zero groups.
func (a Addr) text6() string {
	from, to := 0, 0
	for i := 0; i < 8; i++ {
		j := i
		for j < 8 && a.group(j) == 0 {
			j++
		}
		if j-i > max(to-from, 1) {
			from, to = i, j
		}
	}
	var b strings.Builder
	for i := 0; i < 8; i++ {
		if i == from && to > from {
			b.WriteString("::")
			i = to - 1
			continue
		}
		if i > 0 && (i != to || to == from) {
			b.WriteByte(':')
		}
		b.WriteString(strconv.FormatUint(uint64(a.group(i)), 16))
	}
	return b.String()
}

func (a Addr) group(i int) uint16 { return binary.BigEndian.Uint16(a.bytes[2*i:]) }

// block is an address range: every address that begins with the first bits of
// prefix, in hex.
type block struct {
	prefix string
	bits   int
	name   string
}

// special4 lists the IPv4 ranges that a name must not lead to. It is never
// written to.
var special4 = []block{
	{"00000000", 8, "unspecified"},
	{"0a000000", 8, "private"},
	{"64400000", 10, "shared"}, // 100.64.0.0/10: carrier NAT, and a metadata service
	{"7f000000", 8, "loopback"},
	{"a83f8110", 32, "metadata"},   // 168.63.129.16
	{"a9fe0000", 16, "link-local"}, // and metadata: 169.254.169.254
	{"ac100000", 12, "private"},
	{"c0000000", 24, "reserved"}, // and metadata: 192.0.0.192
	{"c0000200", 24, "documentation"},
	{"c0586300", 24, "reserved"}, // 192.88.99.0/24: 6to4 relays
	{"c0a80000", 16, "private"},
	{"c6120000", 15, "benchmarking"},
	{"c6336400", 24, "documentation"},
	{"cb007100", 24, "documentation"},
	{"e0000000", 4, "multicast"},
	{"f0000000", 4, "reserved"}, // and broadcast
}

// special6 lists the IPv6 ranges; whatever is outside 2000::/3 is special as well.
var special6 = []block{
	{"00000000000000000000000000000001", 128, "loopback"},
	{"00000000000000000000000000000000", 128, "unspecified"},
	{"fe80", 10, "link-local"},
	{"fec0", 10, "private"}, // site-local
	{"fc00", 7, "private"},  // and metadata: fd00:ec2::254
	{"ff00", 8, "multicast"},
	{"20010000", 23, "reserved"}, // Teredo among others
	{"20010db8", 32, "documentation"},
	{"2002", 16, "transition"}, // 6to4 carries an IPv4 address
	{"3fff", 20, "documentation"},
}

// Special names the range for which an address needs a grant of its own:
// loopback, private, link-local, multicast, metadata and the like. It is "" for
// an address of the public network.
func (a Addr) Special() string {
	switch a.size {
	case 4:
		return a.within(special4)
	case 16:
		if name := a.within(special6); name != "" {
			return name
		}
		if a.bytes[0]>>5 != 1 {
			return "reserved" // NAT64 too, which would carry an IPv4 address past its table
		}
		return ""
	}
	return "unspecified"
}

func (a Addr) within(list []block) string {
	for _, b := range list {
		if b.holds(a) {
			return b.name
		}
	}
	return ""
}

func (b block) holds(a Addr) bool {
	prefix, err := hex.DecodeString(b.prefix)
	if err != nil {
		return true // a table that cannot be read holds everything
	}
	for i := 0; i < b.bits; i++ {
		var want byte
		if i/8 < len(prefix) {
			want = prefix[i/8]
		}
		if (a.bytes[i/8]^want)>>(7-i%8)&1 != 0 {
			return false
		}
	}
	return true
}
