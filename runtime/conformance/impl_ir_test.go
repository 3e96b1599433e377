package conformance

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/ir"
)

// A script says exactly what a run asks for: no more, no less, nothing malformed.
func TestIRScripts(t *testing.T) {
	a, err := ir.AssembleNamed([]byte("const s = bytes \"00\"\ntool echo = demo/echo interface 1 (any) -> any\nfunc main() -> any {\nrequire_cap 5, s\neffect echo, r0, r1, r2\nret r1\n}\ntask main = main() budget cpu_us=9 io=1 writes=0\n"))
	if err != nil {
		t.Fatal(err)
	}
	ok := hex.EncodeToString((&abi.Response{Status: 200, Payload: []byte{2}}).AppendCAN(nil))
	input := func(caps, effects string) string {
		return fmt.Sprintf(`{"hex":"%x","task":"%s","caps":%s,"effects":%s}`, a.Bundle, a.Tasks[0].ID, caps, effects)
	}
	for _, c := range [][2]string{
		{`[]`, `["` + ok + `"]`},
		{`[""]`, `[]`},
		{`["",""]`, `["` + ok + `"]`},
		{`[""]`, `["` + ok + `","` + ok + `"]`},
		{`[""]`, `["00"]`},
	} {
		wantWrongVector(t, irOps(), "ir.run", input(c[0], c[1]))
	}
	got, err := tryOp(t, irOps(), "ir.run", input(`[""]`, `["`+ok+`"]`))
	if err != nil {
		t.Fatal(err)
	}
	out, isOutput := got.(RunOutput)
	if !isOutput || hex.EncodeToString(*out.Result) != "02" || len(out.Calls) != 1 || len(out.Caps) != 1 || out.IOUsed != 1 {
		t.Errorf("got %+v", got)
	}
}
