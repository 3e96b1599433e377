package registry

import (
	"fmt"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := newLimiter(2, 3)
	ask := func(addr string) time.Duration { return l.wait(addr, now) }
	for i := range 3 {
		if wait := ask("192.0.2.1:1000"); wait != 0 {
			t.Fatalf("request %d waits %v", i, wait)
		}
	}
	if wait := ask("192.0.2.1:2000"); wait != time.Second/2 {
		t.Errorf("the fourth waits %v", wait)
	}
	if wait := ask("192.0.2.2:1000"); wait != 0 {
		t.Errorf("another client waits %v", wait)
	}
	now = now.Add(time.Second / 2)
	if wait := ask("192.0.2.1:1"); wait != 0 {
		t.Errorf("after the time it was told it waits %v", wait)
	}
	if wait := ask("192.0.2.1:1"); wait != time.Second/2 {
		t.Errorf("and then %v", wait)
	}
	now = now.Add(-time.Hour) // a clock that goes back gives nothing and takes nothing
	if wait := ask("192.0.2.1:1"); wait != time.Second/2 {
		t.Errorf("an hour before: %v", wait)
	}
}

// TestLimiterNetworks: one network of IPv6 is one client, and so is one address
// of IPv4, however it is written.
func TestLimiterNetworks(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, same := range [][2]string{
		{"[2001:db8::1]:1", "[2001:db8::ffff:1]:2"},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:1"},
		{"nothing", "else"},
	} {
		l := newLimiter(1, 1)
		if first, second := l.wait(same[0], now), l.wait(same[1], now); first != 0 || second == 0 {
			t.Errorf("%v: %v, %v", same, first, second)
		}
	}
	l := newLimiter(1, 1)
	if first, second := l.wait("[2001:db8:0:1::1]:1", now), l.wait("[2001:db8:0:2::1]:1", now); first != 0 || second != 0 {
		t.Errorf("two networks: %v, %v", first, second)
	}
	if newLimiter(0, 5).wait("x", now) != 0 {
		t.Error("no limit limits")
	}
}

// TestLimiterBound: however many clients there are, few are remembered.
func TestLimiterBound(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := newLimiter(1, 2)
	for i := range 2*maxClients + 100 {
		l.wait(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), now)
		if i == maxClients {
			now = now.Add(time.Hour) // all are as good as new
		}
	}
	if len(l.clients) > maxClients {
		t.Errorf("%d clients", len(l.clients))
	}
}
