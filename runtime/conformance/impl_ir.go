package conformance

import (
	"context"
	"fmt"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

// irOps are the ops of RFC-MYTHOS-0012.
func irOps() map[string]opFunc {
	return map[string]opFunc{
		"ir.load": do(irLoad),
		"ir.run":  doContext(irRun),
	}
}

// Loaded is the output of ir.load.
type Loaded struct {
	ArtifactID cid.Hash   `json:"artifact_id"`
	Tasks      []TaskView `json:"tasks"`
	Tools      []cid.Hash `json:"tools"`    // of the tool table, in its order
	Effects    []cid.Hash `json:"effects"`  // tools that ops name, ascending
	Features   []string   `json:"features"` // that a package with it requires
}

// TaskView is one task.
type TaskView struct {
	TaskID cid.Hash `json:"task_id"`
	Inputs Hex      `json:"inputs"` // the LIST of its args
}

func irLoad(in Bytes) (Loaded, error) {
	p, err := ir.Load(in.Hex)
	if err != nil {
		return Loaded{}, err
	}
	out := Loaded{ArtifactID: p.ArtifactID(), Tools: []cid.Hash{}, Effects: append([]cid.Hash{}, p.Effects()...), Features: append([]string{}, p.Features()...)}
	for _, t := range p.Tasks() {
		inputs, err := p.Inputs(t.TaskID, nil)
		if err != nil {
			return Loaded{}, err
		}
		out.Tasks = append(out.Tasks, TaskView{t.TaskID, inputs})
	}
	for _, t := range p.Tools() {
		out.Tools = append(out.Tools, t.ToolID)
	}
	return out, nil
}

// RunInput is the input of ir.run.
type RunInput struct {
	Hex        Hex      `json:"hex"`
	Task       cid.Hash `json:"task"`
	Inputs     *Hex     `json:"inputs,omitempty"`  // a LIST, for the task's args
	Effects    []Hex    `json:"effects,omitempty"` // the ToolResponses, in order
	Caps       []string `json:"caps,omitempty"`    // per REQUIRE_CAP: "", or the code that stops the run
	MaxRequest *U64     `json:"max_request,omitempty"`
}

// RunOutput is the output of ir.run. After a trap there is an error code and no
// result.
type RunOutput struct {
	Result     *Hex       `json:"result,omitempty"`
	ResultHash *cid.Hash  `json:"result_hash,omitempty"`
	ErrorCode  string     `json:"error_code,omitempty"`
	FuelUsed   U64        `json:"fuel_used"`
	IOUsed     U64        `json:"io_used"`
	Writes     U64        `json:"state_writes"`
	Calls      []HostCall `json:"calls"`
	Caps       []CapAsked `json:"caps"`
}

// HostCall is an effect as the executor is asked for it.
type HostCall struct {
	ToolID  cid.Hash `json:"tool_id"`
	Payload Hex      `json:"payload"`
	Key     *Hex     `json:"key,omitempty"`      // content of an explicit key
	KeyText string   `json:"key_kind,omitempty"` // "text" or "bytes", of an explicit key
	Blob    *Hex     `json:"blob,omitempty"`     // BLOB_PUT: the content
}

// CapAsked is what a REQUIRE_CAP asked for.
type CapAsked struct {
	Kind  U64 `json:"kind"`
	Scope Hex `json:"scope"`
}

func irRun(ctx context.Context, in RunInput) (RunOutput, error) {
	p, err := ir.Load(in.Hex)
	if err != nil {
		return RunOutput{}, err
	}
	opt := ir.RunOptions{Task: in.Task}
	if in.Inputs != nil {
		opt.Inputs = append([]byte{}, *in.Inputs...)
	}
	if in.MaxRequest != nil {
		opt.MaxRequest = func(cid.Hash) uint64 { return uint64(*in.MaxRequest) }
	}
	host := &scriptedHost{in: &in, calls: []HostCall{}, caps: []CapAsked{}}
	res, err := p.Run(ctx, opt, host)
	if err != nil {
		return RunOutput{}, err
	}
	if len(host.calls) < len(in.Effects) || len(host.caps) < len(in.Caps) {
		return RunOutput{}, badInput("%d effects and %d capabilities were asked for, the script has %d and %d", len(host.calls), len(host.caps), len(in.Effects), len(in.Caps))
	}
	out := RunOutput{
		ErrorCode: string(res.ErrorCode), FuelUsed: U64(res.FuelUsed), IOUsed: U64(res.IOUsed), Writes: U64(res.StateWrites),
		Calls: host.calls, Caps: host.caps,
	}
	if res.ErrorCode == "" {
		out.Result, out.ResultHash = (*Hex)(&res.Value), &res.ResultHash
	}
	return out, nil
}

// scriptedHost answers effects out of the script of a vector.
type scriptedHost struct {
	in    *RunInput
	calls []HostCall
	caps  []CapAsked
}

// Effect answers with the next response.
func (h *scriptedHost) Effect(_ context.Context, c ir.EffectCall) (ir.EffectResult, error) {
	n := len(h.calls)
	if n == len(h.in.Effects) || uint64(n) != c.Ordinal {
		return ir.EffectResult{}, badInput("effect %d is not in the script", c.Ordinal)
	}
	asked := HostCall{ToolID: c.Tool, Payload: append(Hex{}, c.Payload...)}
	if c.Key != nil {
		key := append(Hex{}, c.Key...)
		asked.Key, asked.KeyText = &key, "bytes"
		if c.KeyText {
			asked.KeyText = "text"
		}
	}
	if c.Tool == abi.BlobPutID {
		content := append(Hex{}, c.Blob...)
		asked.Blob = &content
	}
	h.calls = append(h.calls, asked)
	return scriptedResult(h.in.Effects[n])
}

func scriptedResult(raw []byte) (ir.EffectResult, error) {
	r, err := abi.DecodeResponse(raw)
	if err != nil {
		return ir.EffectResult{}, badInput("a response of the script: %w", err)
	}
	out := ir.EffectResult{Status: r.Status, Payload: r.Payload, ResponseHash: cid.Sum(raw), ResponseLen: len(raw)}
	if r.Error != nil {
		out.ErrorCode = r.Error.Code
	}
	return out, nil
}

// RequireCap holds, or stops the run with a code of the script.
func (h *scriptedHost) RequireCap(_ context.Context, kind uint64, scope []byte) error {
	n := len(h.caps)
	if n == len(h.in.Caps) {
		return badInput("capability %d is not in the script", n)
	}
	h.caps = append(h.caps, CapAsked{U64(kind), append(Hex{}, scope...)})
	return scriptedStop(h.in.Caps[n], n)
}

// scriptedStop is the script's answer to capability number n: nil, or a code
// that stops the run.
func scriptedStop(code string, n int) error {
	if code == "" {
		return nil
	}
	return &fault.Error{Code: fault.Code(code), Message: fmt.Sprintf("the script stops the run at capability %d", n), Offset: fault.NoOffset}
}
