package caps

import (
	"net/netip"
	"testing"
)

func TestSpecialAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"0.0.0.0": "unspecified", "0.255.255.255": "unspecified", "1.0.0.0": "",
		"9.255.255.255": "", "10.0.0.0": "private", "10.255.255.255": "private", "11.0.0.0": "",
		"100.63.255.255": "", "100.64.0.0": "shared", "100.100.100.200": "shared", "100.127.255.255": "shared", "100.128.0.0": "",
		"126.255.255.255": "", "127.0.0.1": "loopback", "127.255.255.255": "loopback", "128.0.0.0": "",
		"168.63.129.15": "", "168.63.129.16": "metadata", "168.63.129.17": "",
		"169.253.255.255": "", "169.254.169.254": "link-local", "169.255.0.0": "",
		"172.15.255.255": "", "172.16.0.0": "private", "172.31.255.255": "private", "172.32.0.0": "",
		"191.255.255.255": "", "192.0.0.192": "reserved", "192.0.1.0": "", "192.0.2.1": "documentation", "192.0.3.0": "",
		"192.88.98.255": "", "192.88.99.1": "reserved", "192.88.100.0": "",
		"192.167.255.255": "", "192.168.0.0": "private", "192.168.255.255": "private", "192.169.0.0": "",
		"198.17.255.255": "", "198.18.0.0": "benchmarking", "198.19.255.255": "benchmarking", "198.20.0.0": "",
		"198.51.99.255": "", "198.51.100.0": "documentation", "198.51.101.0": "",
		"203.0.112.255": "", "203.0.113.255": "documentation", "203.0.114.0": "",
		"223.255.255.255": "", "224.0.0.1": "multicast", "239.255.255.255": "multicast", "240.0.0.0": "reserved", "255.255.255.255": "reserved",
		"::": "unspecified", "::1": "loopback", "::2": "reserved", "64:ff9b::7f00:1": "reserved", "64:ff9b:1::1": "reserved", "100::1": "reserved",
		"1fff:ffff::": "reserved", "2000::": "", "2001::1": "reserved", "2001:1ff:ffff::": "reserved", "2001:200::": "", "2001:db7::": "",
		"2001:db8::1": "documentation", "2001:db9::": "", "2001:ffff::": "", "2002:7f00:1::": "transition", "2003::": "",
		"2606:4700::1111": "", "3ffe:ffff::": "", "3fff::": "documentation", "3fff:fff:ffff::": "documentation", "3fff:1000::": "", "4000::": "reserved",
		"5f00::": "reserved", "fc00::": "private", "fd00:ec2::254": "private", "fe7f::": "reserved", "fe80::1": "link-local", "febf::1": "link-local",
		"fec0::1": "private", "ff02::1": "multicast",
	} {
		a, ok := ParseAddr(text)
		if !ok {
			t.Errorf("%s is no address", text)
			continue
		}
		if got := a.Special(); got != want {
			t.Errorf("%s is special by %q, want %q", text, got, want)
		}
	}
	if (Addr{}).Special() == "" {
		t.Error("no address is a public one")
	}
	mapped := [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}
	if a, ok := AddrFrom(mapped[:]); !ok || a.String() != "127.0.0.1" || a.Special() != "loopback" {
		t.Errorf("::ffff:127.0.0.1 is %s", a)
	}
	for _, n := range []int{0, 3, 5, 15, 17} {
		if _, ok := AddrFrom(make([]byte, n)); ok {
			t.Errorf("%d bytes are an address", n)
		}
	}
}

// The prefixes of the tables are written out, so that none holds everything.
func TestBlocks(t *testing.T) {
	for _, b := range append(special4[:len(special4):len(special4)], special6...) {
		if b.holds(Addr{bytes: [16]byte{0x26, 1, 2, 3, 4, 5, 6, 7, 8, 9}}) {
			t.Errorf("block %+v holds 2601:203::", b)
		}
	}
}

// An address is what the standard library says, in the form that it prints.
func FuzzAddr(f *testing.F) {
	for _, s := range []string{
		"1.2.3.4", "01.2.3.4", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.-4", "::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::",
		"::2:3:4:5:6:7:8", "1::4:0:0:0:8", "1:0:0:2::3", "1::2::3", ":1", "1:", ":::", "0:0:0:0:0:0:0:0", "::ffff:1.2.3.4", "::ffff:102:304",
		"fe80::1%eth0", "ABCD::", "00ab::", "1:2:3:4:5:6:7:8:9", "::1.2.3.4", "", "a", "1:0:2:0:3:0:4:0",
	} {
		f.Add(s, []byte(s))
	}
	f.Fuzz(func(t *testing.T, s string, b []byte) {
		want, err := netip.ParseAddr(s)
		canonical := err == nil && want.String() == s && !want.Is4In6() && want.Zone() == ""
		got, ok := ParseAddr(s)
		if ok != canonical || ok && got.String() != s {
			t.Fatalf("%q is an address: %t, want %t", s, ok, canonical)
		}
		a, ok := AddrFrom(b)
		ref, refOK := netip.AddrFromSlice(b)
		if ok != refOK || ok && a.String() != ref.Unmap().String() {
			t.Fatalf("%x is %s, want %s", b, a, ref)
		}
		if back, ok := ParseAddr(a.String()); a != (Addr{}) && (!ok || back != a) {
			t.Fatalf("%s does not read back", a)
		}
	})
}
