package network

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Target is where a request or a connection goes.
type Target struct {
	Host string // a lower-case name or an address, as RFC-MYTHOS-0008 §5 writes them
	Port uint16
	url  *url.URL // of a request; its Host is Host and Port
}

// ParseURL reads an absolute http or https URL. User information is refused; a
// fragment is dropped.
func ParseURL(text string) (Target, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Target{}, fault.New(ErrTarget, "%q is not a URL", brief(text))
	}
	return targetOf(u)
}

func targetOf(u *url.URL) (Target, error) {
	ports := map[string]string{"http": "80", "https": "443"}
	port, ok := ports[u.Scheme]
	switch {
	case !ok:
		return Target{}, fault.New(ErrTarget, "scheme %q is neither http nor https", brief(u.Scheme))
	case u.User != nil:
		return Target{}, fault.New(ErrTarget, "a URL must not carry a user name or password")
	case u.Opaque != "" || u.Host == "":
		return Target{}, fault.New(ErrTarget, "the URL names no host")
	case u.Port() != "":
		port = u.Port()
	}
	t, err := newTarget(u.Hostname(), port)
	if err != nil {
		return Target{}, err
	}
	c := *u
	c.Host = net.JoinHostPort(t.Host, port)
	if u.Port() == "" {
		c.Host = strings.TrimSuffix(c.Host, ":"+port)
	}
	c.Fragment, c.RawFragment = "", ""
	t.url = &c
	return t, nil
}

// parseAuthority reads what CONNECT names: a host and a port.
func parseAuthority(text string) (Target, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return Target{}, fault.New(ErrTarget, "%q is not HOST:PORT", brief(text))
	}
	return newTarget(host, port)
}

func newTarget(host, port string) (Target, error) {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' || port[0] == '+' {
		return Target{}, fault.New(ErrTarget, "port %q is not in 1..65535", brief(port))
	}
	host = strings.ToLower(host)
	if _, ok := literal(host); !ok && !soundName(host) {
		return Target{}, fault.New(ErrTarget, "host %q is no name or address", brief(host))
	}
	return Target{Host: host, Port: uint16(n)}, nil
}

// origin is scheme, host and port: what a secret header stays within.
func (t Target) origin() string {
	return t.url.Scheme + "://" + t.Host + ":" + strconv.Itoa(int(t.Port))
}

// literal reads an address that is written in its one form.
func literal(host string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(host)
	return a, err == nil && a.Zone() == "" && !a.Is4In6() && a.String() == host
}

// soundName reports whether a host is a name that no resolver can take for an
// address: its last label begins with a letter.
func soundName(s string) bool {
	if len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for i := range len(l) {
			c := l[i]
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	c := labels[len(labels)-1][0]
	return 'a' <= c && c <= 'z'
}

// brief bounds a text that others wrote and that goes into a message.
func brief(s string) string {
	const limit = 200
	if len(s) > limit {
		s = s[:limit] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}

// message is what an error says beside its code, bounded.
func message(err error) string {
	return brief(strings.TrimSuffix(err.Error(), " ("+string(fault.CodeOf(err))+")"))
}
