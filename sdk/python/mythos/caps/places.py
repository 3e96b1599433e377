"""Hosts, addresses, paths and ranges: what a scope may name, and when one lies
within another (RFC-MYTHOS-0008 §5). A function that judges returns "" or why
not.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from ..structs import BlobReadScope, NetConnectScope

Address = IPv4Address | IPv6Address

MAX_NAME = 253

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_METHOD = re.compile(r"[A-Z-]{1,32}")

# Where a name must not lead: a connection there needs the address itself among
# the hosts. 168.63.129.16 is a metadata service; the rest are loopback,
# private, shared, link-local, multicast, documentation and reserved ranges, and
# those that carry an IPv4 address past the first list.
_SPECIAL_4 = [
    ip_network(n)
    for n in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12 "
        "192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 "
        "224.0.0.0/4 240.0.0.0/4"
    ).split()
]
_SPECIAL_6 = [ip_network(n) for n in "2001::/23 2001:db8::/32 2002::/16 3fff::/20".split()]
_PUBLIC_6 = ip_network("2000::/3")


def normal(a: Address) -> Address:
    """Return a, or the IPv4 address that it is in IPv6 clothes."""
    return (isinstance(a, IPv6Address) and a.ipv4_mapped) or a


def parse_address(s: str) -> Address | None:
    """Read an address in its one text: four decimal numbers, or RFC 5952 with
    hexadecimal groups only. Zones and mapped addresses are not addresses.
    """
    try:
        a = ip_address(s)
    except ValueError:
        return None
    return a if "%" not in s and normal(a) is a and str(a) == s else None


def special(a: Address) -> bool:
    """Report whether a needs a grant of its own (RFC-MYTHOS-0008 §5.2)."""
    a = normal(a)
    if isinstance(a, IPv4Address):
        return any(a in n for n in _SPECIAL_4)
    return a not in _PUBLIC_6 or any(a in n for n in _SPECIAL_6)


def sound_range(x: BlobReadScope) -> str:
    if (x.range_start or 0) + (x.range_len or 0) >= 1 << 64:
        return "range_start and range_len add up beyond 2^64-1"
    return ""


def range_wider(p: BlobReadScope, c: BlobReadScope) -> str:
    """Compare sound ranges as intervals: an absent start is 0, an absent length
    reaches to the end of the blob.
    """
    p_start, c_start = p.range_start or 0, c.range_start or 0
    if c_start < p_start:
        return f"the range starts at {c_start}, the parent's at {p_start}"
    if p.range_len is None:
        return ""
    if c.range_len is None:
        return "the range has no end, the parent's has one"
    if c_start + c.range_len > p_start + p.range_len:
        return f"the range ends at {c_start + c.range_len}, the parent's at {p_start + p.range_len}"
    return ""


def sound_net(x: NetConnectScope) -> str:
    for host in x.hosts:
        if not sound_host(host):
            return f"host {host!r} is no lower-case name or address, nor *. and a name"
    for port in x.ports:
        if not 1 <= port <= 65535:
            return f"port {port} is not in 1..65535"
    for method in x.methods:
        if not _METHOD.fullmatch(method):
            return f"method {method!r} is not 1 to 32 of A-Z and -"
    return ""


def sound_host(host: str) -> bool:
    if host.startswith("*."):
        return len(host) <= MAX_NAME and sound_name(host[2:])
    return parse_address(host) is not None or sound_name(host)


def sound_name(name: str) -> bool:
    """Report whether name is one. Its last label begins with a letter: nothing
    that a resolver could take for an address is a name.
    """
    labels = name.split(".")
    return len(name) <= MAX_NAME and all(map(_LABEL.fullmatch, labels)) and "a" <= labels[-1][0] <= "z"


def hosts_wider(p: NetConnectScope, c: NetConnectScope) -> str:
    """Compare sound hosts: each is covered by itself, or by "*." and what
    follows its first label.
    """
    allowed = set(p.hosts)
    for host in c.hosts:
        label, dot, tail = host.partition(".")
        if host not in allowed and not (dot and label != "*" and "*." + tail in allowed):
            return f"hosts {host!r} is not allowed"
    return ""


def sound_path(path: str) -> str:
    if path == "/":
        return ""
    if "\0" in path:
        return f"path {path!r} has a NUL"
    if not path.startswith("/"):
        return f"path {path!r} is not absolute"
    for segment in path[1:].split("/"):
        if segment in ("", ".", ".."):
            return f"path {path!r} has a segment {segment!r}"
    return ""


def path_wider(parent: str, child: str) -> str:
    if child == parent or child.startswith(parent.removesuffix("/") + "/"):
        return ""
    return f"path {child!r} is not below {parent!r}"
