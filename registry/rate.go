package registry

import (
	"net/netip"
	"sync"
	"time"
)

// maxClients bounds the addresses that a limiter knows.
const maxClients = 10_000

// limiter bounds the requests of each address: a bucket of Burst requests that
// fills with Rate a second. Addresses of IPv6 count by their network of 64 bits,
// of which one client has all.
type limiter struct {
	rate, burst float64

	mu      sync.Mutex
	clients map[netip.Prefix]allowance
}

type allowance struct {
	left float64
	at   time.Time
}

// newLimiter returns nil for no limit.
func newLimiter(rate float64, burst int) *limiter {
	if rate <= 0 {
		return nil
	}
	if burst <= 0 {
		burst = int(2 * rate)
	}
	return &limiter{rate: rate, burst: max(float64(burst), 1), clients: map[netip.Prefix]allowance{}}
}

// wait takes one request of an address, or returns how long until there is one.
func (l *limiter) wait(remoteAddr string, now time.Time) time.Duration {
	if l == nil {
		return 0
	}
	client := clientOf(remoteAddr)
	l.mu.Lock()
	defer l.mu.Unlock()
	a, known := l.clients[client]
	if !known {
		l.makeRoom(now)
		a = allowance{l.burst, now}
	}
	a = l.filled(a, now)
	if a.left < 1 {
		l.clients[client] = a
		return time.Duration((1 - a.left) / l.rate * float64(time.Second))
	}
	a.left--
	l.clients[client] = a
	return 0
}

func (l *limiter) filled(a allowance, now time.Time) allowance {
	if passed := now.Sub(a.at); passed > 0 {
		a.left = min(a.left+passed.Seconds()*l.rate, l.burst)
		a.at = now
	}
	return a
}

// makeRoom forgets those who may ask as much as a new client, and if there are
// none, somebody.
func (l *limiter) makeRoom(now time.Time) {
	if len(l.clients) < maxClients {
		return
	}
	for c, a := range l.clients {
		if l.filled(a, now).left >= l.burst {
			delete(l.clients, c)
		}
	}
	for c := range l.clients {
		if len(l.clients) < maxClients {
			return
		}
		delete(l.clients, c)
	}
}

// clientOf returns the network that counts as one client; what is no address is
// the one without.
func clientOf(remoteAddr string) netip.Prefix {
	at, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	addr := at.Addr().Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // as many bits as there are
	return p
}
