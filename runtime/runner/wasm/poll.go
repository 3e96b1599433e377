package wasm

import "encoding/binary"

// A WASI subscription and event.
const (
	subscriptionSize = 48
	eventSize        = 32
	eventClock       = 0
	eventRead        = 1
	eventWrite       = 2
	clockAbsolute    = 1
)

// subscription is one thing that poll_oneoff waits for.
type subscription struct {
	userdata [8]byte
	kind     byte
	fd       uint64
	clock    uint32
	due      uint64 // when a clock fires, in virtual time
}

func readSubscription(b []byte, now uint64) subscription {
	s := subscription{
		userdata: [8]byte(b),
		kind:     b[8],
		fd:       uint64(binary.LittleEndian.Uint32(b[16:])),
		clock:    binary.LittleEndian.Uint32(b[16:]),
		due:      binary.LittleEndian.Uint64(b[24:]),
	}
	if b[40]&clockAbsolute == 0 {
		s.due = addTime(now, s.due)
	}
	return s
}

// pollOneoff never waits. A file descriptor is always ready; if only clocks are
// waited for, the virtual clock moves to the earliest of them. So time passes
// for a guest exactly as far as it asks for.
func pollOneoff(h *Host, mem memory, stack []uint64) errno {
	in, out, count, ready := arg(stack, 0), arg(stack, 1), arg(stack, 2), arg(stack, 3)
	if count == 0 || count > maxVectors {
		return wasiInval
	}
	list, ok := mem.view(in, count*subscriptionSize)
	if !ok {
		return wasiFault
	}
	subs := make([]subscription, count)
	for i := range subs {
		subs[i] = readSubscription(list[i*subscriptionSize:], h.now)
	}
	if next, only := earliest(subs); only {
		h.now = max(h.now, next)
	}
	events, ok := mem.view(out, count*eventSize)
	if !ok {
		return wasiFault
	}
	n := uint32(0)
	for i := range subs {
		if e, fired := h.event(&subs[i]); fired {
			copy(events[n*eventSize:], e[:])
			n++
		}
	}
	return put32(mem, ready, n)
}

// earliest returns when the first clock fires; only is false if anything else
// is waited for.
func earliest(subs []subscription) (next uint64, only bool) {
	for i := range subs {
		s := &subs[i]
		if s.kind != eventClock || s.clock > 3 {
			return 0, false
		}
		if i == 0 || s.due < next {
			next = s.due
		}
	}
	return next, true
}

// event returns the event of a subscription, if it fires now.
func (h *Host) event(s *subscription) (e [eventSize]byte, fired bool) {
	code := wasiOK
	switch {
	case s.kind == eventClock && s.clock > 3:
		code = wasiInval
	case s.kind == eventClock:
		if s.due > h.now {
			return e, false
		}
	case s.kind == eventRead && s.fd == 0 && h.open(0):
		binary.LittleEndian.PutUint64(e[16:], uint64(len(h.stdin)))
	case s.kind == eventWrite && s.fd != 0 && h.open(s.fd):
	case s.kind == eventRead || s.kind == eventWrite:
		code = wasiBadf
	default:
		code = wasiNotSup
	}
	copy(e[:8], s.userdata[:])
	binary.LittleEndian.PutUint16(e[8:], uint16(code))
	e[10] = s.kind
	return e, true
}
