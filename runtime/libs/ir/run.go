package ir

import (
	"context"
	"errors"
	"fmt"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Host is the world of a run. An error from it is a stop, never a result: Run
// returns it (wrapped), and the same run may be started again. A Host must not
// keep or change the byte slices it is given.
type Host interface {
	// Effect performs or replays one effect and returns its ToolResponse.
	Effect(ctx context.Context, call EffectCall) (EffectResult, error)

	// RequireCap returns nil if the run holds a capability of that kind that
	// covers scope, else the error that stops the run.
	RequireCap(ctx context.Context, kind uint64, scope []byte) error
}

// EffectCall is one EFFECT or BLOB op. Its payload conforms to the tool's
// request type.
type EffectCall struct {
	Ordinal    uint64   // of the effect in its run, from 0
	Tool       cid.Hash // a tool of the bundle, or built in
	Name       string   // the tool's name
	Payload    []byte   // one canonical value
	RequestLen int      // bytes of the canonical ToolRequest
	Key        []byte   // content of an explicit idempotency key, or nil if it is derived
	KeyText    bool     // the explicit key is TEXT
	Blob       []byte   // BLOB_PUT: the content, else nil
}

// EffectResult is what a ToolResponse says. The interpreter copies Payload.
type EffectResult struct {
	Status       uint16
	Payload      []byte   // one canonical value; looked at only if Status is 200
	ErrorCode    string   // "" if the response carries no error
	ResponseHash cid.Hash // of the canonical ToolResponse
	ResponseLen  int      // bytes of it
}

// RunOptions says what to run.
type RunOptions struct {
	Task   cid.Hash
	Inputs []byte // a canonical LIST; nil: the task's args

	// MaxRequest returns the most bytes that a ToolRequest to a tool of the
	// bundle may have. Nil: MaxRequest for every tool. Built-in tools always
	// have that limit.
	MaxRequest func(tool cid.Hash) uint64
}

// Result is how a run ended: with a value, or with the code of a trap. The same
// program, task, inputs and responses always give the same Result.
type Result struct {
	Value      []byte     // canonical; nil after a trap
	ResultHash cid.Hash   // SHA-256 of Value; zero after a trap
	ErrorCode  fault.Code // of the trap, or ""
	Message    string     // of the trap, for people; not part of any record

	FuelUsed, FuelLimit     uint64
	IOUsed, IOLimit         uint64 // IOUsed is the number of effects
	StateWrites, WriteLimit uint64
}

// pollFuel is how much fuel may be used between two looks at the context.
const pollFuel = 1 << 16

// frame is what a CALL must come back to.
type frame struct {
	fn     *function
	base   int // of the registers in the stack
	pc     uint32
	out    uint8
	memory uint64 // of all frames below the one that was entered
}

// machine is one run.
type machine struct {
	p     *Program
	host  Host
	opt   *RunOptions
	entry *function
	depth int // frames at most

	fn     *function
	pc     uint32 // index in p.code
	base   int
	r      []value // registers of the running frame
	stack  []value // registers of all frames
	frames []frame // callers

	limit, fuel, poll uint64 // purse, what is left of it, and when to look up
	memory            uint64
	io, ioLimit       uint64
	writes, wlimit    uint64
	scene             scene
}

// trap ends a run with a code.
func trap(code fault.Code, format string, args ...any) error {
	return &trapped{fault.New(code, format, args...)}
}

// trapped marks an error as the program's own.
type trapped struct{ cause *fault.Error }

func (t *trapped) Error() string { return t.cause.Error() }

// Run executes one task. It returns an error if the run could not start (an
// unknown task, inputs that do not fit) or was stopped by ctx or the host; the
// cause of ctx is in the error's chain. Everything the program itself does
// wrong is a Result.
func (p *Program) Run(ctx context.Context, opt RunOptions, host Host) (Result, error) {
	inputs, err := p.Inputs(opt.Task, opt.Inputs)
	if err != nil {
		return Result{}, err
	}
	t := &p.tasks[p.taskIndex[opt.Task]]
	m := newMachine(p, t, &opt, host)
	m.start(inputs)
	return m.finish(ctx)
}

// finish runs to the end and says how that was.
func (m *machine) finish(ctx context.Context) (Result, error) {
	v, err := m.run(ctx)
	if err == nil {
		res := m.result()
		res.Value = append([]byte(nil), v.bytes()...)
		res.ResultHash = cid.Sum(res.Value)
		return res, nil
	}
	own, ok := err.(*trapped)
	if !ok {
		return Result{}, m.where(err)
	}
	res := m.result()
	res.ErrorCode, res.Message = own.cause.Code, m.where(errors.New(own.cause.Message)).Error()
	return res, nil
}

func newMachine(p *Program, t *task, opt *RunOptions, host Host) *machine {
	b := &t.def.Budget
	m := &machine{
		p: p, host: host, opt: opt, entry: &p.funcs[t.fn], depth: baseDepth,
		limit: b.CPUMicros * fuelPerCPU, ioLimit: uint64(b.IOCount), wlimit: uint64(b.StateWrites),
	}
	if b.MaxDepth != nil {
		m.depth = int(*b.MaxDepth)
	}
	m.fuel = m.limit
	m.poll = m.limit // look at the context before the first op
	return m
}

// start makes the first frame and fills it with the inputs.
func (m *machine) start(inputs []byte) {
	m.scene = scene{inputs: inputs, tools: map[cid.Hash]bool{}, statuses: map[uint64]bool{}}
	m.fn, m.pc = m.entry, m.entry.pc
	m.stack = make([]value, m.fn.regs)
	m.r = m.stack
	for i, b := range items(inputs) {
		v := value{raw: b}
		if m.fn.typed && m.p.types.record(m.fn.args[i]) {
			v.typ = m.fn.args[i]
		}
		m.r[i] = v
		m.memory += v.memory()
	}
}

func (m *machine) result() Result {
	return Result{
		FuelUsed: m.limit - m.fuel, FuelLimit: m.limit,
		IOUsed: m.io, IOLimit: m.ioLimit, StateWrites: m.writes, WriteLimit: m.wlimit,
	}
}

// where says at which op something happened.
func (m *machine) where(err error) error {
	pc := m.pc - 1
	s, _ := specOf(m.p.code[pc].op)
	return fmt.Errorf("op %d (%s): %w", pc, s.name, err)
}

// charge takes fuel from the purse (RFC-MYTHOS-0012 §6.1).
func (m *machine) charge(cost uint64) error {
	if cost > m.fuel {
		return trap(TrapFuel, "the op costs %d fuel, %d of %d are left", cost, m.fuel, m.limit)
	}
	m.fuel -= cost
	return nil
}

// size is the cost S of reading a value.
func size(v *value) uint64 { return per(uint64(max(len(v.raw), 1)), 64) }

// walk is the cost R of passing a value to a type.
func (m *machine) walk(v *value, typ int32) uint64 {
	if !m.p.types.record(typ) {
		return 0
	}
	return per(uint64(max(len(v.raw), 1)), 8)
}

// build is the cost V of a result.
func (m *machine) build(length uint64) error { return m.charge(per(length, 8)) }

// put writes a register.
func (m *machine) put(i uint8, v value) error {
	memory := m.memory - m.r[i].memory() + v.memory()
	if memory > MaxMemory {
		return trap(TrapMemory, "the registers would hold %d bytes, at most %d", memory, MaxMemory)
	}
	m.memory = memory
	m.r[i] = v
	return nil
}

// look returns the reason why ctx is done, or nil.
func (m *machine) look(ctx context.Context) error {
	m.poll = m.fuel - min(m.fuel, pollFuel)
	if ctx.Err() != nil {
		return fmt.Errorf("the run was stopped: %w", context.Cause(ctx))
	}
	return nil
}

// run executes ops until the run ends; it returns the result's value, a trap,
// or what stopped it.
func (m *machine) run(ctx context.Context) (value, error) {
	for {
		in := &m.p.code[m.pc]
		m.pc++
		if m.fuel <= m.poll {
			if err := m.look(ctx); err != nil {
				return value{}, err
			}
		}
		var err error
		switch in.op {
		case opNop:
			err = m.charge(1)
		case opJmp:
			if err = m.charge(1); err == nil {
				m.pc = m.fn.pc + in.j
			}
		case opJz:
			if err = m.charge(1); err == nil && m.jumps(in.a) {
				m.pc = m.fn.pc + in.j
			}
		case opConst:
			c := m.p.consts[in.i]
			if err = m.charge(2 + per(uint64(len(c)), 8)); err == nil {
				err = m.put(in.a, value{raw: c})
			}
		case opHalt:
			return m.halt(in)
		case opRet:
			v, err := m.ret(in)
			if err != nil || m.fn == nil {
				return v, err
			}
		default:
			err = m.step(ctx, in)
		}
		if err != nil {
			return value{}, err
		}
	}
}

// step executes the ops that are not worth a place in run.
func (m *machine) step(ctx context.Context, in *instr) error {
	switch in.op {
	case opCall:
		return m.call(in)
	case opMake:
		return m.make(in)
	case opGet:
		return m.get(in)
	case opSet:
		return m.set(in)
	case opList:
		return m.list(in)
	case opMatch:
		return m.match(in)
	case opRequireCap:
		return m.requireCap(ctx, in)
	case opEffect:
		return m.effect(ctx, in)
	case opAssert:
		return m.assert(in)
	case opBlobPut:
		return m.blobPut(ctx, in)
	case opBlobGet, opBlobChunkGet:
		return m.blobGet(ctx, in)
	default: // the loader admits no other opcode
		return m.level1(in)
	}
}

// jumps reports whether JZ on a register jumps; a record never does.
func (m *machine) jumps(reg uint8) bool {
	v := &m.r[reg]
	return v.typ == noType && empty(v.bytes())
}

// operand returns the register an op names, or NULL where it names none.
func (m *machine) operand(in *instr) value {
	if in.mode == modeReg {
		return m.r[in.a]
	}
	return value{}
}

func (m *machine) halt(in *instr) (value, error) {
	v := m.operand(in)
	if err := m.charge(1 + size(&v) + m.walk(&v, m.entry.ret)); err != nil {
		return value{}, err
	}
	return m.returned(v, m.entry)
}

// returned passes v to the return type of a function.
func (m *machine) returned(v value, fn *function) (value, error) {
	v, ok := m.p.types.pass(v, fn.ret)
	if !ok {
		return value{}, trap(TrapType, "the returned value does not conform to %s", m.p.types.describe(fn.ret))
	}
	return v, nil
}

// ret leaves the running function; m.fn is nil if it was the outermost.
func (m *machine) ret(in *instr) (value, error) {
	v := m.operand(in)
	if err := m.charge(2 + size(&v) + m.walk(&v, m.fn.ret)); err != nil {
		return value{}, err
	}
	v, err := m.returned(v, m.fn)
	if err != nil {
		return value{}, err
	}
	top := len(m.frames) - 1
	if top < 0 {
		m.fn = nil
		return v, nil
	}
	f := m.frames[top]
	m.frames = m.frames[:top]
	clear(m.r) // lets go of what they hold, and readies them for the next call
	m.fn, m.pc, m.base, m.memory = f.fn, f.pc, f.base, f.memory
	m.r = m.stack[m.base : m.base+m.fn.regs]
	return value{}, m.put(f.out, v)
}

// call enters a function with copies of the caller's first registers.
func (m *machine) call(in *instr) error {
	to := &m.p.funcs[in.i]
	args := m.r[:in.a]
	cost, memory := uint64(10), m.memory
	for i := range args {
		cost += size(&args[i])
		if to.typed {
			cost += m.walk(&args[i], to.args[i])
		}
		memory += args[i].memory()
	}
	if err := m.charge(cost); err != nil {
		return err
	}
	if len(m.frames)+1 == m.depth {
		return trap(TrapDepth, "%d frames are open, which is the budget's max_depth", m.depth)
	}
	base := m.base + m.fn.regs
	if grow := base + to.regs - len(m.stack); grow > 0 {
		m.stack = append(m.stack, make([]value, grow)...)
	}
	r := m.stack[base : base+to.regs]
	for i, v := range args {
		ok := true
		if to.typed {
			v, ok = m.p.types.pass(v, to.args[i])
		}
		if !ok {
			return trap(TrapType, "argument %d does not conform to %s", i, m.p.types.describe(to.args[i]))
		}
		r[i] = v
	}
	if memory > MaxMemory {
		return trap(TrapMemory, "the registers would hold %d bytes, at most %d", memory, MaxMemory)
	}
	m.frames = append(m.frames, frame{m.fn, m.base, m.pc, in.b, m.memory})
	m.fn, m.pc, m.base, m.memory, m.r = to, to.pc, base, memory, r
	return nil
}
