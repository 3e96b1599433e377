package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
)

// effect is what the harness knows of one effect, from outside.
type effect struct {
	run        runName
	idem       cid.Hash
	registered bool      // its register was acknowledged
	entered    int       // times its module was handed to the runner
	probed     int       // times its probe was
	receipt    string    // acknowledged receipt id in hex; "": none
	bytes      string    // SHA-256 of the receipt's bytes as a caller got them; "": nobody did
	code       string    // of the last failure; "" after none
	due        time.Time // before this a lease may stand
	follower   cid.Hash  // the effect that follows in its run; zero: none
	followed   string    // acknowledged receipt id of that
}

// book is what the harness knows of a ledger from what executors said before they
// died. It is the outside view against which the ledger is checked.
type book struct {
	light, native *gate.Package
	runs          map[runName]*effect
	ids           map[cid.Hash]*effect
	followers     map[cid.Hash]*effect // by the id of what follows them
	order         []*effect            // as they came
	waits         int                  // for the lock of an executor that had just died
	faults        []string             // what must not be
}

func newBook(light, native *gate.Package) *book {
	return &book{light: light, native: native, runs: map[runName]*effect{}, ids: map[cid.Hash]*effect{}, followers: map[cid.Hash]*effect{}}
}

func (b *book) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

// begun returns the effect of a run, new if the run is.
func (b *book) begun(n runName) (*effect, error) {
	if e := b.runs[n]; e != nil {
		return e, nil
	}
	if err := n.check(); err != nil {
		return nil, err
	}
	pkg := b.light
	if n.tool().native() {
		pkg = b.native
	}
	id, err := n.idem(pkg)
	if err != nil {
		return nil, err
	}
	e := &effect{run: n, idem: id}
	b.runs[n] = e
	if n.mode() != 'c' { // its id is another run's
		b.ids[id] = e
		b.order = append(b.order, e)
	}
	follower, ok, err := n.follower(pkg)
	if ok {
		e.follower, b.followers[follower] = follower, e
	}
	return e, err
}

// note takes down one line of an executor.
func (b *book) note(line string) {
	f := strings.SplitN(line, " ", 4)
	var err error
	switch {
	case f[0] == "S" && len(f) == 2:
		_, err = b.begun(runName(f[1]))
	case f[0] == "R" && len(f) == 2, f[0] == "I" && len(f) == 2, f[0] == "P" && len(f) == 2, f[0] == "C" && len(f) == 3:
		err = b.noteID(f)
	case f[0] == "D" && len(f) == 4:
		err = b.noteDone(runName(f[1]), f[2], f[3])
	case f[0] == "E" && len(f) >= 3:
		b.noteFailed(runName(f[1]), f[2], line)
	case f[0] == "wait":
		b.waits++
	case f[0] == "open", f[0] == "end", f[0] == "ok":
	default:
		err = fmt.Errorf("the line makes no sense")
	}
	if err != nil {
		b.fault("%s: %v", strconv.Quote(line), err)
	}
}

func (b *book) noteID(f []string) error {
	id, err := cid.Parse("sha256:" + f[1])
	if err != nil {
		return err
	}
	e := b.ids[id]
	if before := b.followers[id]; before != nil {
		return before.noteFollower(f)
	}
	if e == nil {
		return fmt.Errorf("an id that no run has")
	}
	switch f[0] {
	case "R":
		e.registered = true
	case "P":
		e.probed++
	case "I":
		e.entered++
	case "C":
		if e.receipt != "" && e.receipt != f[2] {
			return fmt.Errorf("a second receipt, after %s", e.receipt)
		}
		e.receipt = f[2]
	}
	return nil
}

// noteFollower takes down what is said of the effect that follows e.
func (e *effect) noteFollower(f []string) error {
	if f[0] != "C" {
		return nil
	}
	if e.followed != "" && e.followed != f[2] {
		return fmt.Errorf("a second receipt, after %s", e.followed)
	}
	e.followed = f[2]
	return nil
}

// noteDone holds a receipt that a caller got against those before it.
func (b *book) noteDone(n runName, bytes, rest string) error {
	e, err := b.begun(n)
	if err != nil {
		return err
	}
	if n.mode() == 'c' {
		return fmt.Errorf("a key was used for two requests")
	}
	_, receipt, _ := strings.Cut(rest, " ")
	switch {
	case e.receipt != "" && e.receipt != receipt:
		return fmt.Errorf("a retry returned another receipt than %s", e.receipt)
	case e.bytes != "" && e.bytes != bytes:
		return fmt.Errorf("a retry returned other bytes than %s", e.bytes)
	}
	e.receipt, e.bytes, e.code = receipt, bytes, ""
	return nil
}

// noteFailed takes down a refusal. Only those that a crash explains may be.
func (b *book) noteFailed(n runName, code, line string) {
	e := b.runs[n]
	if e == nil {
		b.fault("%s", line)
		return
	}
	e.code = code
	switch code {
	case string(ledger.ErrSettled):
		if n.tool() != (tool{"reconcile", "native"}) { // whose probe knows no response
			b.fault("%s", line)
		}
	case string(ledger.ErrInDoubt), string(ledger.ErrInProgress):
		follows := !e.follower.IsZero() && e.followed == "" && code == string(ledger.ErrInProgress) // its follower's lease stands
		if e.receipt != "" && !follows {
			b.fault("a retry of an effect that was acknowledged: %s", line)
		}
	case string(ledger.ErrConflict):
		if n.mode() != 'c' {
			b.fault("%s", line)
		}
	default:
		b.fault("%s", line)
	}
}
