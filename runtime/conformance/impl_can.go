package conformance

import (
	"encoding/json"

	"github.com/mythos-run/mythos/internal/view"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// canOps are the ops of RFC-MYTHOS-0001 §2 and RFC-MYTHOS-0001 §6.
func canOps() map[string]opFunc {
	return map[string]opFunc{
		"can.decode":    do(canDecode),
		"can.encode":    do(canEncode),
		"struct.decode": do(structDecode),
	}
}

// Bytes is the input of ops that take one value.
type Bytes struct {
	Hex Hex `json:"hex"`
}

// Decoded is the output of can.decode.
type Decoded struct {
	Hex  Hex             `json:"hex"`
	JSON json.RawMessage `json:"json"`
}

// canDecode decodes one value and encodes it again by way of its JSON view,
// which loses nothing.
func canDecode(in Bytes) (Decoded, error) {
	text, err := can.AppendJSON(nil, in.Hex)
	if err != nil {
		return Decoded{}, err
	}
	back, err := can.FromJSON(text)
	return Decoded{back, text}, err
}

// View is the input of can.encode: exactly one member.
type View struct {
	Text *string `json:"text,omitempty"`
	Hex  *Hex    `json:"hex,omitempty"`
}

func canEncode(in View) (Bytes, error) {
	var text []byte
	switch {
	case (in.Text == nil) == (in.Hex == nil):
		return Bytes{}, badInput("want text or hex")
	case in.Text != nil:
		text = []byte(*in.Text)
	default:
		text = *in.Hex
	}
	raw, err := can.FromJSON(text)
	return Bytes{raw}, err
}

// Typed is the input of ops that take one struct.
type Typed struct {
	Type string `json:"type"`
	Hex  Hex    `json:"hex"`
}

// Struct is the output of struct.decode.
type Struct struct {
	Hex Hex       `json:"hex"`
	ID  *cid.Hash `json:"id,omitempty"`
}

func structDecode(in Typed) (Struct, error) {
	fresh, ok := codecs()[in.Type]
	if !ok {
		return Struct{}, fault.New(view.ErrStruct, "%.80q is no struct of the schema", in.Type)
	}
	x := fresh()
	r := can.NewReader(in.Hex)
	x.ReadCAN(&r)
	if err := r.Done(); err != nil {
		return Struct{}, err
	}
	out := Struct{Hex: x.AppendCAN(nil)}
	id, sealed, err := view.ID(in.Type, in.Hex)
	if sealed {
		out.ID = &id
	}
	return out, err
}
