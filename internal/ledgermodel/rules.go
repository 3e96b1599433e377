package main

// Phase is where an id stands (RFC-MYTHOS-0005 §3).
type Phase uint8

// The phases, in the order of the RFC's table.
const (
	Absent Phase = iota
	Open
	Free
	Doubt
	Committed
	Settled
	Divergent
)

func (p Phase) String() string {
	return [...]string{"absent", "open", "free", "in doubt", "committed", "settled", "divergent"}[p]
}

// The retry classes (RFC-MYTHOS-0005 §5).
const (
	Never uint8 = iota
	Idempotent
	Pure
	Reconcile
)

var classWord = [...]string{"never", "idempotent", "pure", "reconcile"}

// The outcomes of a resolution.
const (
	Happened   uint8 = 1
	NotInvoked uint8 = 2
	Noted      uint8 = 3
)

// Kind is an entry's kind (RFC-MYTHOS-0005 §2).
type Kind uint8

// The kinds that an id's state depends on.
const (
	Register Kind = iota + 1
	Commit
	Mark
	Resolution
)

// Keys that are no executor's.
const (
	Operator uint8 = 100 + iota
	Stranger
)

// Unknown names a register that is not among the id's.
const Unknown uint8 = 255

// Bounds of the model.
const (
	maxRegisters = 4
	maxEntries   = 14
)

// Entry is one entry of an id, without what no rule looks at. Registers of an id
// are numbered from 1.
type Entry struct {
	Kind     Kind
	By       uint8 // a register's owner, or who signed; an executor's number, or one of the keys above
	Request  uint8 // register, commit, mark of reason 1: which request
	Which    uint8 // register: the previous one; commit, resolution: the one it names; 0 none
	Attempt  uint8 // register
	What     uint8 // register: class; resolution: outcome; mark: reason
	Response uint8 // commit
	Extra    uint8 // commit: which of several receipts; resolution: 0 names no receipt, 1 that of the commit that stood, 2 another, such as a probe's
}

// Verdict says what became of an entry that was offered.
type Verdict uint8

// The verdicts.
const (
	Refused    Verdict = iota // and not stored
	Applied                   // stored, and the state moved
	Superseded                // stored, and nothing changed
	Dropped                   // there already
	Diverged                  // stored, and the state is divergent by it
)

func (v Verdict) String() string {
	return [...]string{"refused", "applied", "superseded", "dropped", "diverged"}[v]
}

type attempt struct{ owner, class uint8 }

// State is the fold of an id's entries (RFC-MYTHOS-0005 §3).
type State struct {
	Phase     Phase
	Request   uint8
	Registers uint8 // how many; the number of the last is the fencing token
	Stood     Entry // the commit that stands, or stood; Kind 0: none ever did
	Marked    bool

	of      [maxRegisters + 1]attempt
	commits [maxEntries]Entry // every commit that is stored
	stored  uint8
	aside   uint8 // so many of them an operator has set aside
	counts  [maxEntries]bool
}

// latest returns owner and class of the latest register.
func (s *State) latest() attempt { return s.of[s.Registers] }

// Apply offers an entry. Leases and the decision are the store's part: a register
// is judged here by what the entries say alone. probes is whether the executors
// perform probes (RFC-MYTHOS-0005 §5), and broken what a mutant gets wrong.
func (s *State) Apply(e Entry, probes bool, broken Fault) Verdict {
	switch e.Kind {
	case Register:
		return s.register(e, broken)
	case Commit:
		return s.commit(e, broken)
	case Mark:
		return s.mark(e)
	}
	return s.resolve(e, probes, broken)
}

func (s *State) register(e Entry, broken Fault) Verdict {
	switch {
	case s.Phase == Committed || s.Phase == Settled || s.Phase == Divergent && broken != DivergentProceeds:
		return Refused
	case s.Phase != Absent && e.Request != s.Request && !(broken == BindingEnds && s.Phase == Free):
		return Refused
	case e.Attempt != s.Registers || e.Which != s.Registers || s.Registers == maxRegisters:
		return Refused
	}
	s.Registers++
	s.of[s.Registers] = attempt{e.By, e.What}
	s.Request, s.Phase = e.Request, Open
	return Applied
}

// commit is the list of RFC-MYTHOS-0005 §3 under "Commit", with the table of
// RFC-MYTHOS-0005 §6.
func (s *State) commit(e Entry, broken Fault) Verdict {
	if s.Phase == Absent {
		return Refused
	}
	for _, c := range s.commits[:s.stored] {
		if c == e {
			return Dropped
		}
	}
	mine := e.Which >= 1 && e.Which <= s.Registers && e.Request == s.Request && e.By == s.of[e.Which].owner
	at := s.stored
	s.commits[at] = e
	s.stored++
	if !mine {
		return Superseded
	}
	if s.Phase != Divergent {
		s.counts[at] = true
		if s.contradicted(at, broken) {
			s.Phase = Divergent
			return Diverged
		}
	}
	waits := s.Phase == Open || s.Phase == Free || s.Phase == Doubt
	if waits && (e.Which == s.Registers || broken == CommitUnfenced) || broken == CommitReplaces && s.Phase == Committed {
		s.Phase, s.Stood = Committed, e
		return Applied
	}
	return Superseded
}

// contradicted compares a commit with those before it that count.
func (s *State) contradicted(at uint8, broken Fault) bool {
	e := s.commits[at]
	for i := s.aside; i < at; i++ {
		if broken == ComparesWithStanding && (s.Phase != Committed || s.commits[i] != s.Stood) || broken == CommitReplaces {
			continue
		}
		if s.counts[i] && s.contradict(s.commits[i], e) {
			return true
		}
	}
	return false
}

// contradict says whether two commits of the id's registers, each by its owner,
// cannot both be true.
func (s *State) contradict(a, b Entry) bool {
	if a.Response == b.Response {
		return false
	}
	return a.Which == b.Which || s.of[a.Which].class == Pure && s.of[b.Which].class == Pure
}

func (s *State) mark(e Entry) Verdict {
	switch {
	case s.Phase == Absent, e.What < 1 || e.What > 3:
		return Refused
	case e.What != 1:
		s.Phase = Divergent
		return Applied
	case s.Marked:
		return Dropped
	}
	s.Marked = true
	return Superseded
}

func (s *State) resolve(e Entry, probes bool, broken Fault) Verdict {
	of := s.latest()
	if broken == ResolvesAnyRegister {
		of = s.of[e.Which]
	}
	owner := e.By == of.owner && s.Phase != Divergent
	if e.What == Happened && !(probes && of.class == Reconcile && e.Extra != 0) {
		owner = false // only by the receipt of a probe
	}
	switch {
	case s.Phase == Absent || s.Phase == Committed || s.Phase == Settled:
		return Refused
	case e.Which != s.Registers && broken != ResolvesAnyRegister:
		return Refused
	case e.By != Operator && !owner, e.What < Happened || e.What > Noted:
		return Refused
	}
	if s.Phase == Divergent {
		s.aside = s.stored
	}
	switch e.What {
	case Happened:
		s.Phase = Settled
		if s.Stood.Kind != 0 && e.Extra != 2 {
			s.Phase = Committed
		}
	case NotInvoked:
		s.Phase = Free
	case Noted:
		s.Phase = Doubt
	}
	return Applied
}

// Decision is what a call may do (RFC-MYTHOS-0005 §3).
type Decision uint8

// The decisions.
const (
	Proceed Decision = iota + 1
	Replay
	Wait
	InDoubt
	Conflict
	IsSettled
	IsDivergent
)

func (d Decision) String() string {
	return [...]string{"", "proceed", "replay", "wait", "in doubt", "conflict", "settled", "divergent"}[d]
}

// Decide says what a call with a request may do; live is whether the lease
// stands, and class what the module at hand declares.
func (s *State) Decide(request uint8, live bool, class uint8, broken Fault) Decision {
	if s.Phase != Absent && request != s.Request && !(broken == BindingEnds && s.Phase == Free) {
		return Conflict
	}
	again := func(c uint8) bool { return c == Idempotent || c == Pure || broken == DoubtRetried && c == Never }
	switch s.Phase {
	case Absent, Free:
		return Proceed
	case Committed:
		return Replay
	case Settled:
		return IsSettled
	case Divergent:
		if broken == DivergentProceeds {
			return Proceed
		}
		if broken == DivergentReplays && s.Stood.Kind != 0 {
			return Replay
		}
		return IsDivergent
	case Open:
		if live {
			return Wait
		}
	}
	if again(class) && (again(s.latest().class) || broken == ClassAtHandOnly) {
		return Proceed
	}
	return InDoubt
}

// Listed reports whether the id is among those shown as in doubt or divergent.
func (s *State) Listed(live bool, broken Fault) bool {
	return s.Phase == Doubt || s.Phase == Divergent || s.Phase == Open && !live && broken != LapsedNotListed
}

// Fold returns the state that entries amount to.
func Fold(log []Entry, probes bool, broken Fault) State {
	var s State
	for _, e := range log {
		s.Apply(e, probes, broken)
	}
	return s
}
