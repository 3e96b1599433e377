package conformance

import (
	"bytes"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// toolOps are the ops of RFC-MYTHOS-0006 §10 and RFC-MYTHOS-0002 §7.
func toolOps() map[string]opFunc {
	return map[string]opFunc{
		"tool.request":  do(toolRequest),
		"tool.response": do(toolResponse),
		"tool.id":       do(toolID),
		"tool.frame":    do(toolFrame),
	}
}

// ToolRequestView is the output of tool.request.
type ToolRequestView struct {
	Hash    cid.Hash `json:"hash"`
	ToolID  cid.Hash `json:"tool_id"`
	IdemID  cid.Hash `json:"idem_id"`
	Payload Hex      `json:"payload"`
}

func toolRequest(in Bytes) (ToolRequestView, error) {
	x, err := abi.DecodeRequest(in.Hex)
	return ToolRequestView{cid.Sum(in.Hex), x.ToolID, x.IdemID, x.Payload}, err
}

// ToolResponseView is the output of tool.response.
type ToolResponseView struct {
	Hash    cid.Hash       `json:"hash"`
	Status  uint16         `json:"status"`
	Payload Hex            `json:"payload"`
	Error   *ToolErrorView `json:"error,omitempty"`
}

// ToolErrorView is the error of a response.
type ToolErrorView struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
}

func toolResponse(in Bytes) (ToolResponseView, error) {
	x, err := abi.DecodeResponse(in.Hex)
	out := ToolResponseView{Hash: cid.Sum(in.Hex), Status: x.Status, Payload: x.Payload}
	if x.Error != nil {
		out.Error = &ToolErrorView{x.Error.Code, x.Error.Message}
	}
	return out, err
}

// ToolInput is the input of tool.id.
type ToolInput struct {
	Name      string   `json:"name"`
	Interface uint16   `json:"interface"`
	Request   cid.Hash `json:"request"`
	Response  cid.Hash `json:"response"`
}

// Identified is the output of ops that make an id.
type Identified struct {
	ID cid.Hash `json:"id"`
}

func toolID(in ToolInput) (Identified, error) {
	if err := abi.CheckToolName(in.Name); err != nil {
		return Identified{}, err
	}
	return Identified{abi.ToolID(in.Name, in.Interface, in.Request, in.Response)}, nil
}

// FrameInput is the input of tool.frame. Max bounds the message in bytes.
type FrameInput struct {
	Hex Hex    `json:"hex"`
	Max uint32 `json:"max"`
}

// Frame is the output of tool.frame.
type Frame struct {
	Message Hex `json:"message"`
	Left    int `json:"left"` // bytes after the frame
}

func toolFrame(in FrameInput) (Frame, error) {
	r := bytes.NewReader(in.Hex)
	msg, err := abi.ReadFrame(r, int(in.Max))
	return Frame{msg, r.Len()}, err
}
