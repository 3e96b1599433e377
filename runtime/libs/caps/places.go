package caps

import (
	"fmt"
	"math/bits"
	"slices"
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

// soundNet wants hosts that soundHost accepts and ports 1..65535.
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
	return ""
}

// soundHost accepts 1 to 253 bytes of a-z 0-9 . - _ : without an empty label,
// optionally after "*."; what follows "*." ends in a label that begins with a
// letter, so that it is a name: no wildcard stands for part of an address.
func soundHost(h string) bool {
	name, wild := strings.CutPrefix(h, "*.")
	if len(h) > 253 || strings.IndexFunc(name, badHostRune) >= 0 {
		return false
	}
	labels := strings.Split(name, ".")
	if slices.Contains(labels, "") {
		return false
	}
	top := labels[len(labels)-1][0]
	return !wild || top >= 'a' && top <= 'z' && !strings.Contains(name, ":")
}

func badHostRune(c rune) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		return false
	}
	return !strings.ContainsRune(".-_:", c)
}

// hostsWider compares sound hosts: each is covered by itself, or by "*." and
// what follows its first label.
func hostsWider(parent, child []string) string {
	allowed := setOf(parent)
	for _, c := range child {
		label, tail, found := strings.Cut(c, ".")
		if !allowed[c] && !(found && label != "*" && allowed["*."+tail]) {
			return fmt.Sprintf("host %q is not allowed", c)
		}
	}
	return ""
}

// soundPath wants an absolute path without empty, "." and ".." segments.
func soundPath(p string) string {
	if p == "/" {
		return ""
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
