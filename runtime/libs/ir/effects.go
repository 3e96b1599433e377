package ir

import (
	"context"
	"unicode/utf8"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Fixed costs (RFC-MYTHOS-0012 §4).
const (
	costRequireCap = 1000
	costEffect     = 1000
	costUnit       = 32 // bytes of request, response or blob per fuel
)

func (m *machine) requireCap(ctx context.Context, in *instr) error {
	if err := m.charge(costRequireCap); err != nil {
		return err
	}
	if err := m.look(ctx); err != nil {
		return err
	}
	return m.host.RequireCap(ctx, in.u, content(m.p.consts[in.i]))
}

// pending is an effect on its way through the steps of RFC-MYTHOS-0012 §4.4.
type pending struct {
	call         EffectCall
	maxRequest   uint64
	response     int32 // type of a payload with status 200
	writes       bool  // counts for state_writes
	out, receipt uint8
}

// effect calls a tool of the bundle.
func (m *machine) effect(ctx context.Context, in *instr) error {
	t := &m.p.tools[in.i]
	if err := m.charge(costEffect + m.walk(&m.r[in.a], t.request)); err != nil {
		return err
	}
	e := pending{response: t.response, maxRequest: MaxRequest, out: in.b, receipt: in.c}
	if m.opt.MaxRequest != nil {
		e.maxRequest = m.opt.MaxRequest(t.def.ToolID)
	}
	arg := m.r[in.a]
	e.call = EffectCall{Tool: t.def.ToolID, Name: t.def.Name, Payload: arg.bytes()}
	if err := m.key(in, &e.call); err != nil {
		return err
	}
	if !m.p.types.conforms(e.call.Payload, t.request) {
		return trap(TrapType, "the argument of %s does not conform to %s", t.def.Name, m.p.types.describe(t.request))
	}
	return m.perform(ctx, &e)
}

// key takes an explicit idempotency key from its operand, if there is one.
func (m *machine) key(in *instr, call *EffectCall) error {
	var b []byte
	switch in.mode {
	case modeReg:
		b = m.r[in.d].bytes()
	case modeConst:
		b = m.p.consts[in.j]
	default:
		return nil
	}
	if b[0] != can.Bytes && b[0] != can.Text {
		return trap(TrapType, "the key is %s, want BYTES or TEXT", can.TagName(b[0]))
	}
	call.Key, call.KeyText = content(b), b[0] == can.Text
	if n := len(call.Key); n == 0 || n > MaxKey {
		return trap(TrapKey, "the key has %d bytes, want 1 to %d", n, MaxKey)
	}
	return nil
}

// perform takes an effect through steps 4 to 9: what it may cost, the host, and
// the two registers it writes.
func (m *machine) perform(ctx context.Context, e *pending) error {
	call := &e.call
	call.RequestLen = abi.RequestLen(call.Payload)
	if n := uint64(call.RequestLen); n > e.maxRequest {
		return trap(TrapRequest, "the request to %s has %d bytes, at most %d", call.Name, n, e.maxRequest)
	}
	if err := m.charge(per(uint64(call.RequestLen), costUnit)); err != nil {
		return err
	}
	if err := m.count(e.writes); err != nil {
		return err
	}
	call.Ordinal = m.io - 1
	if err := m.look(ctx); err != nil {
		return err
	}
	res, err := m.host.Effect(ctx, *call)
	if err != nil {
		return err
	}
	if err := checkResult(&res); err != nil {
		return err
	}
	m.scene.tools[call.Tool] = true
	m.scene.statuses[uint64(res.Status)] = true
	cost := per(uint64(res.ResponseLen), costUnit)
	if res.Status == abi.StatusOK {
		cost += m.walk(&value{raw: res.Payload}, e.response)
	}
	if err := m.charge(cost); err != nil {
		return err
	}
	return m.answer(e, &res)
}

// count takes an effect, and a state write, from the budget: both or neither.
func (m *machine) count(writes bool) error {
	if m.io == m.ioLimit {
		return trap(TrapIO, "the budget's %d effects are used up", m.ioLimit)
	}
	if writes {
		if m.writes == m.wlimit {
			return trap(TrapWrites, "the budget's %d state writes are used up", m.wlimit)
		}
		m.writes++
	}
	m.io++
	return nil
}

// checkResult refuses what no valid ToolResponse says: the host is at fault,
// and trusting it could break the interpreter.
func checkResult(res *EffectResult) error {
	switch {
	case res.ResponseLen <= 0, res.Status == abi.StatusOK && res.ResponseLen < len(res.Payload):
		return fault.New(ErrHost, "the host says that a response has %d bytes", res.ResponseLen)
	case !utf8.ValidString(res.ErrorCode):
		return fault.New(ErrHost, "the host's error code is not UTF-8")
	case res.Status != abi.StatusOK:
		return nil
	}
	if err := checkValue(res.Payload); err != nil {
		return fault.New(ErrHost, "the host's payload is not a value: %w", err)
	}
	return nil
}

// answer writes the registers of a completed effect, both or neither.
func (m *machine) answer(e *pending, res *EffectResult) error {
	var out value
	if res.Status == abi.StatusOK {
		ok := false
		out, ok = m.p.types.pass(value{raw: append([]byte(nil), res.Payload...)}, e.response)
		if !ok {
			return trap(TrapType, "the response of %s does not conform to %s", e.call.Name, m.p.types.describe(e.response))
		}
	}
	receipt := value{raw: receiptValue(res), depth: 3}
	memory := m.memory - m.r[e.out].memory() - m.r[e.receipt].memory() + out.memory() + receipt.memory()
	if memory > MaxMemory {
		return trap(TrapMemory, "the registers would hold %d bytes, at most %d", memory, MaxMemory)
	}
	m.memory = memory
	m.r[e.out], m.r[e.receipt] = out, receipt
	return nil
}

// receiptValue is {1 status, 2 response_hash, 3 error code?}: all that a
// program may know of a receipt.
func receiptValue(res *EffectResult) []byte {
	n := 2
	if res.ErrorCode != "" {
		n++
	}
	b := can.AppendMap(nil, n)
	b = can.AppendUint(can.AppendField(b, 1), uint64(res.Status))
	b = res.ResponseHash.AppendCAN(can.AppendField(b, 2))
	if n == 3 {
		b = can.AppendText(can.AppendField(b, 3), res.ErrorCode)
	}
	return b
}
