package caps

import (
	"fmt"
	"math/bits"
	"strings"
)

// soundRange refuses a range whose end is beyond 2^64-1.
func soundRange(x *BlobRead) string {
	if x.RangeStart == nil || x.RangeLen == nil {
		return ""
	}
	if _, carry := bits.Add64(*x.RangeStart, *x.RangeLen, 0); carry != 0 {
		return "range_start and range_len add up beyond 2^64-1"
	}
	return ""
}

// rangeWider compares sound ranges as intervals: an absent start is 0, an
// absent length reaches to the end of the blob.
func rangeWider(p, c *BlobRead) string {
	pStart, cStart := valueOr(p.RangeStart, 0), valueOr(c.RangeStart, 0)
	switch {
	case cStart < pStart:
		return fmt.Sprintf("the range starts at %d, the parent's at %d", cStart, pStart)
	case p.RangeLen == nil:
		return ""
	case c.RangeLen == nil:
		return "the range has no end, the parent's has one"
	}
	if pEnd, cEnd := pStart+*p.RangeLen, cStart+*c.RangeLen; cEnd > pEnd {
		return fmt.Sprintf("the range ends at %d, the parent's at %d", cEnd, pEnd)
	}
	return ""
}

func valueOr(v *uint64, otherwise uint64) uint64 {
	if v == nil {
		return otherwise
	}
	return *v
}

// soundNet wants hosts that soundHost accepts, ports 1..65535 and methods as
// HTTP writes them.
func soundNet(x *NetConnect) string {
	for _, h := range x.Hosts {
		if !soundHost(h) {
			return fmt.Sprintf("host %q is no lower-case name or address, nor *. and a name", h)
		}
	}
	for _, p := range x.Ports {
		if p < 1 || p > 65535 {
			return fmt.Sprintf("port %d is not in 1..65535", p)
		}
	}
	for _, m := range x.Methods {
		if !soundMethod(m) {
			return fmt.Sprintf("method %q is not 1 to 32 of A-Z and -", m)
		}
	}
	return ""
}

// soundHost accepts an address as Addr.String writes it, a name, and "*." with a
// name behind it.
func soundHost(h string) bool {
	if name, wild := strings.CutPrefix(h, "*."); wild {
		return len(h) <= maxName && soundName(name)
	}
	_, isAddr := ParseAddr(h)
	return isAddr || soundName(h)
}

// maxName and maxLabel bound a name and its labels in bytes.
const (
	maxName  = 253
	maxLabel = 63
)

// soundName accepts 1 to 253 bytes in labels of 1 to 63 bytes of a-z 0-9 - _, none
// with - at an end. The last label begins with a letter: nothing that a resolver
// could take for an address ("127.1", "0x7f000001", "010.0.0.1") is a name.
func soundName(name string) bool {
	if len(name) > maxName {
		return false
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if len(l) < 1 || len(l) > maxLabel || l[0] == '-' || l[len(l)-1] == '-' || strings.IndexFunc(l, badNameRune) >= 0 {
			return false
		}
	}
	top := labels[len(labels)-1][0]
	return top >= 'a' && top <= 'z'
}

func badNameRune(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_')
}

func soundMethod(m string) bool {
	bad := func(c rune) bool { return !(c >= 'A' && c <= 'Z' || c == '-') }
	return len(m) >= 1 && len(m) <= 32 && strings.IndexFunc(m, bad) < 0
}

// hostsWider compares sound hosts: each is covered by itself, or by "*." and
// what follows its first label.
func hostsWider(parent, child *NetConnect) string {
	allowed := setOf(parent.Hosts)
	for _, c := range child.Hosts {
		label, tail, found := strings.Cut(c, ".")
		if !allowed[c] && !(found && label != "*" && allowed["*."+tail]) {
			return fmt.Sprintf("hosts %q is not allowed", c)
		}
	}
	return ""
}

// soundPath wants an absolute path without empty, "." and ".." segments and
// without NUL, at which some systems would cut it off.
func soundPath(p string) string {
	if p == "/" {
		return ""
	}
	if strings.ContainsRune(p, 0) {
		return fmt.Sprintf("path %q has a NUL", p)
	}
	rest, absolute := strings.CutPrefix(p, "/")
	if !absolute {
		return fmt.Sprintf("path %q is not absolute", p)
	}
	for s := range strings.SplitSeq(rest, "/") {
		if s == "" || s == "." || s == ".." {
			return fmt.Sprintf("path %q has a segment %q", p, s)
		}
	}
	return ""
}

func pathWider(parent, child string) string {
	if child == parent || strings.HasPrefix(child, strings.TrimSuffix(parent, "/")+"/") {
		return ""
	}
	return fmt.Sprintf("path %q is not below %q", child, parent)
}
