package conformance

import "github.com/mythos-run/mythos/runtime/libs/receipt"

// receiptOps is the op of RFC-MYTHOS-0002 §2.8 that object.open does not do.
func receiptOps() map[string]opFunc {
	return map[string]opFunc{"receipt.content": do(receiptContent)}
}

// ContentInput is the input of receipt.content.
type ContentInput struct {
	Hex      Hex `json:"hex"`      // canonical Receipt
	Request  Hex `json:"request"`  // canonical ToolRequest
	Response Hex `json:"response"` // canonical ToolResponse
}

// receiptContent opens a receipt and holds it against the bytes that it is
// about.
func receiptContent(in ContentInput) (Opened, error) {
	x, id, err := receipt.Open(in.Hex)
	if err == nil {
		err = x.CheckContent(in.Request, in.Response)
	}
	return Opened{id, x.Signer.KeyID()}, err
}
