package ledger

import (
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// MaxMissing is how many bytes of a refusal say what was missing, at most.
const MaxMissing = 1024

// OpenRefusal decodes a refusal and verifies its signature.
func OpenRefusal(raw []byte) (Refusal, error) {
	var x Refusal
	if _, err := sig.Open(raw, &x); err != nil {
		return x, err
	}
	return x, x.check()
}

// check holds a refusal against itself.
func (x Refusal) check() error {
	switch {
	case len(x.Code) > 64 || strings.Trim(x.Code, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || x.Code == "":
		return fault.New(ErrEntry, "a refusal's code is 1 to 64 of a-z 0-9 _, got %.80q", x.Code)
	case len(x.Missing) > MaxMissing:
		return fault.New(ErrEntry, "a refusal says in %d bytes what was missing, the most is %d", len(x.Missing), MaxMissing)
	}
	for i := 1; i < len(x.CapIDs); i++ {
		if x.CapIDs[i-1].Compare(x.CapIDs[i]) >= 0 {
			return fault.New(ErrEntry, "a refusal's cap_ids must ascend, none twice")
		}
	}
	return nil
}

// RefusalKey names what one refusal is kept of: of a holder, the refusals with one
// code of one request; or, before there was a request, of one tool of one package
// (RFC-MYTHOS-0005 §2.1).
func RefusalKey(holder cid.Hash, x Refusal) cid.Hash {
	tool, pkg := x.ToolID, x.PackageID
	if x.RequestHash != nil {
		tool, pkg = nil, nil
	}
	b := can.AppendText([]byte("mythos refusal "), x.Code)
	b = holder.AppendCAN(b)
	for _, id := range []*cid.Hash{x.RequestHash, tool, pkg} {
		if id == nil {
			b = can.AppendNull(b)
			continue
		}
		b = id.AppendCAN(b)
	}
	return cid.Sum(b)
}
