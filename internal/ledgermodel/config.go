package main

// Fault is one thing that a mutant of the model gets wrong.
type Fault uint8

// The faults. Sound is the RFC.
const (
	Sound Fault = iota
	CommitUnfenced
	CommitReplaces
	CommitNeedsLease
	InvokeBeforeRegister
	ExecutorsClock
	WallClockDecides
	DoubtRetried
	ClassAtHandOnly
	AnswerBeforeCommit
	ReplayNewest
	SupersededAnswers
	BindingEnds
	LapsedNotListed
	DivergentProceeds
	DivergentReplays
	ComparesWithStanding
	ResolvesAnyRegister
	ProbeWithoutNote
	CheckedBeforeCharged
	ReplayCharges
	NextBeforeCommit
	NextThoughSuperseded
)

// Config is what one search explores. All bounds are inclusive.
type Config struct {
	Name  string
	Slots int
	IDs   int
	// OneKey: the executors are invocations of one executor, with one key.
	OneKey bool
	// Class is what the module at hand declares, by executor and id.
	Class [maxSlots][maxIDs]uint8
	// Attempts bounds the registers of an id.
	Attempts uint8
	// MaxCalls is what the one capability allows on the ledger; 0: no bound.
	MaxCalls uint8
	// Operator, Offers, Late, Conflicts bound the operator's resolutions, commits
	// that no pipeline makes (forged, signed twice, of unknown registers), commits
	// that outlive their sender, and calls with another request.
	Operator, Offers, Late, Conflicts uint8
	// Embedded: the store is on the executors' host. Jumps bounds how often its wall
	// clock is set, Reboots how often it starts again.
	Embedded       bool
	Jumps, Reboots uint8
	// Sandboxed: a module can be killed so that it had no outside effect.
	Sandboxed bool
	// Chain: a run's first effect is id 1, and its second is id 2, whose request is made
	// from the response to the first.
	Chain bool
	// Probes: the executors perform them.
	Probes bool
	Broken Fault
	// Only is the one invariant that ends the search; nil: each does.
	Only *Invariant
}

// key is the key of an executor.
func (c *Config) key(slot int) uint8 {
	if c.OneKey {
		return 0
	}
	return uint8(slot)
}

// alike says whether executors can change places without a difference.
func (c *Config) alike() bool {
	for i := 1; i < c.Slots; i++ {
		if c.Class[i] != c.Class[0] {
			return false
		}
	}
	return true
}

// every gives all executors one class for each id.
func every(class ...uint8) (out [maxSlots][maxIDs]uint8) {
	for i := range out {
		copy(out[i][:], class)
	}
	return out
}

// configs returns the searches: the full ones, or smaller ones of the same kinds.
func configs(short bool) []Config {
	two := Config{Slots: 2, IDs: 1, Attempts: 2, Operator: 1, Offers: 1}
	with := func(name string, change func(*Config)) Config {
		c := two
		c.Name = name
		change(&c)
		return c
	}
	list := []Config{
		with("two executors, never", func(c *Config) { c.Class = every(Never) }),
		with("two executors, idempotent", func(c *Config) { c.Class = every(Idempotent) }),
		with("two executors, pure", func(c *Config) { c.Class = every(Pure) }),
		with("late commits, never", func(c *Config) { c.Class = every(Never); c.Offers, c.Late, c.Attempts = 0, 1, 3 }),
		with("late commits, pure", func(c *Config) { c.Class = every(Pure); c.Offers, c.Late = 0, 1 }),
		with("two requests", func(c *Config) { c.Class = every(Idempotent); c.Offers, c.Conflicts = 0, 1 }),
		with("a class that was changed", func(c *Config) { c.Class[0], c.Class[1] = [maxIDs]uint8{Never}, [maxIDs]uint8{Idempotent} }),
		with("two calls of one executor, reconcile", func(c *Config) { c.Class = every(Reconcile); c.OneKey, c.Probes, c.Offers = true, true, 0 }),
		with("two executors, reconcile", func(c *Config) { c.Class = every(Reconcile); c.Probes, c.Offers = true, 0 }),
		with("embedded, never, sandboxed", func(c *Config) {
			c.Class = every(Never)
			c.OneKey, c.Embedded, c.Sandboxed, c.Jumps, c.Reboots, c.Offers = true, true, true, 1, 1, 0
		}),
		with("embedded, idempotent", func(c *Config) {
			c.Class = every(Idempotent)
			c.OneKey, c.Embedded, c.Jumps, c.Reboots, c.Offers, c.Operator = true, true, 2, 1, 0, 0
		}),
		with("three executors", func(c *Config) { c.Class = every(Pure); c.Slots, c.Operator, c.Offers = 3, 0, 0 }),
		with("two ids, one capability", func(c *Config) {
			c.Class = every(Never, Idempotent)
			c.IDs, c.MaxCalls, c.Operator, c.Offers = 2, 2, 0, 0
		}),
		with("a run of two effects", func(c *Config) {
			c.Class = every(Idempotent, Never)
			c.IDs, c.Chain, c.Operator, c.Offers = 2, true, 0, 0
		}),
	}
	if short {
		return list
	}
	two.Attempts = 3
	list = append(list,
		with("three attempts, never", func(c *Config) { c.Class = every(Never) }),
		with("three attempts, idempotent", func(c *Config) { c.Class = every(Idempotent); c.Operator = 0 }),
		with("three attempts, pure", func(c *Config) { c.Class = every(Pure); c.Operator = 0 }),
		with("three attempts, a class that was changed", func(c *Config) {
			c.Class[0], c.Class[1] = [maxIDs]uint8{Never}, [maxIDs]uint8{Idempotent}
		}),
		with("three attempts, reconcile", func(c *Config) {
			c.Class = every(Reconcile)
			c.OneKey, c.Probes, c.Offers, c.Operator = true, true, 0, 0
		}),
		with("three attempts, late commits", func(c *Config) { c.Class = every(Pure); c.Offers, c.Late, c.Operator = 0, 2, 0 }),
		with("three attempts, embedded", func(c *Config) {
			c.Class = every(Idempotent)
			c.OneKey, c.Embedded, c.Jumps, c.Reboots, c.Offers, c.Operator = true, true, 2, 1, 0, 0
		}),
		with("two resolutions, never", func(c *Config) { c.Class = every(Never); c.Operator, c.Offers = 2, 0 }),
		with("two offers, pure", func(c *Config) { c.Class = every(Pure); c.Attempts, c.Operator, c.Offers = 2, 1, 2 }),
		with("three executors, late commits", func(c *Config) {
			c.Class = every(Idempotent)
			c.Slots, c.Operator, c.Offers, c.Late = 3, 0, 0, 1
		}),
		with("a run of two effects, late commits", func(c *Config) {
			c.Class = every(Pure, Idempotent)
			c.IDs, c.Attempts, c.Chain, c.Operator, c.Offers, c.Late = 2, 2, true, 0, 0, 1
		}),
		with("two ids, late commits", func(c *Config) {
			c.Class = every(Never, Pure)
			c.IDs, c.Attempts, c.Operator, c.Offers, c.Late = 2, 2, 0, 0, 1
		}),
	)
	return list
}

// control is a mutant that a search must find by the named invariant.
type control struct {
	broken Fault
	words  string
	in     string // the configuration that shows it
	by     Invariant
}

// controls are the negative controls.
func controls() []control {
	return []control{
		{CommitUnfenced, "a commit under an old token counts", "two executors, idempotent", CommitFenced},
		{CommitReplaces, "a later commit replaces the one that stands", "two executors, idempotent", OutcomeMonotone},
		{CommitNeedsLease, "a commit after the lease does not count", "two executors, never", OwnersOutcomeCounts},
		{InvokeBeforeRegister, "the module is invoked before the register", "two executors, never", RegisterBeforeInvoke},
		{ExecutorsClock, "an executor's clock decides about a lease", "two executors, idempotent", LeaseHonoured},
		{WallClockDecides, "the wall clock decides within a boot", "embedded, idempotent", LeaseHonoured},
		{DoubtRetried, "doubt is retried under class never", "two executors, never", AtMostOneInvocation},
		{ClassAtHandOnly, "only the class at hand is asked", "a class that was changed", ClassNotLoosened},
		{ResolvesAnyRegister, "a resolution of an older register counts", "late commits, never", AtMostOneInvocation},
		{AnswerBeforeCommit, "the answer is handed back before the commit", "two executors, never", NoAnswerWithoutDurableCommit},
		{SupersededAnswers, "a superseded commit is an answer", "two executors, idempotent", AnswerStood},
		{ReplayNewest, "a replay takes the newest commit", "two executors, idempotent", ReplayEqualsReceipt},
		{BindingEnds, "a free id takes another request", "two requests", BindingForEver},
		{LapsedNotListed, "an open id whose lease ended is not listed", "two executors, never", DoubtIsVisible},
		{DivergentProceeds, "a divergent id may be registered again", "two executors, pure", DivergentRefuses},
		{DivergentReplays, "a divergent id replays", "two executors, pure", DivergentRefuses},
		{ComparesWithStanding, "a commit is compared with the one that stands only", "two executors, pure", OrderIndependentDivergence},
		{ProbeWithoutNote, "a probe without ending the lease first", "two calls of one executor, reconcile", ReconcileAtMostOnce},
		{CheckedBeforeCharged, "what is left is checked before the transaction", "two ids, one capability", NeverOverspent},
		{ReplayCharges, "a replay is charged", "two ids, one capability", ChargedOncePerRegister},
		{NextBeforeCommit, "the next register goes before the commit it rests on", "a run of two effects", RestsOnWhatStood},
		{NextThoughSuperseded, "the next register goes with a commit that is superseded", "a run of two effects", RestsOnWhatStood},
	}
}
