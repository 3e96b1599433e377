package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/caps"
)

// tryOp asks one op about an input in JSON.
func tryOp(t *testing.T, ops map[string]opFunc, op, input string) (any, error) {
	t.Helper()
	f, ok := ops[op]
	if !ok {
		t.Fatalf("no op %s", op)
	}
	return f(context.Background(), json.RawMessage(input))
}

// wantWrongVector checks that an input is the vector's fault, and no verdict.
func wantWrongVector(t *testing.T, ops map[string]opFunc, op, input string) {
	t.Helper()
	_, err := tryOp(t, ops, op, input)
	var wrong *inputError
	if !errors.As(err, &wrong) {
		t.Errorf("%s: got %v, want an error about the input", input, err)
	}
}

const someHash = `"sha256:0101010101010101010101010101010101010101010101010101010101010101"`

func TestCapsInputs(t *testing.T) {
	agent := `"080203010301030205` + "20" + strings.Repeat("02", 32) + `"`
	head := `{"proof":"0700","subject":` + agent + `,"now":"1","trust":[],"revocations":[]`
	clock := `,"request":{"kind":35}`
	for _, more := range []string{
		"", clock + `,"scope":{"kind":35,"hex":"0800"}`, `,"request":{"kind":5}`, `,"request":{"kind":77}`,
		`,"request":{"kind":35,"path":"/"}`, `,"request":{"kind":33}x`, `,"request":{"kind":32,"host":"a","address":"0102","port":1}`,
		clock + `,"more":1`,
	} {
		wantWrongVector(t, capsOps(), "caps.check", head+more+"}")
	}
	wantWrongVector(t, capsOps(), "caps.check", `{"proof":"0700","subject":"00","now":"1","trust":[],"revocations":[]`+clock+"}")
	wantWrongVector(t, capsOps(), "caps.check", `{"proof":"0700","subject":`+agent+`,"now":"1","trust":["00"],"revocations":[]`+clock+"}")
	if _, err := tryOp(t, capsOps(), "caps.check", head+clock+"}"); !errors.Is(err, caps.ErrTooLong) {
		t.Errorf("a proof without links: %v", err)
	}
}

// Every kind but that of tool calls has requests, and they are of their kind.
func TestCapRequestsOfEveryKind(t *testing.T) {
	for _, k := range caps.Kinds() {
		read, ok := capRequests()[k]
		if ok != (k != caps.KindToolCall) {
			t.Errorf("%s has requests: %t", caps.KindName(k), ok)
		}
		if !ok {
			continue
		}
		if r, err := read([]byte(fmt.Sprintf(`{"kind":%d}`, k))); err != nil || r.Kind() != k {
			t.Errorf("%s: %v, %v", caps.KindName(k), r, err)
		}
	}
}
