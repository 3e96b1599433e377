package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// ops is every op of this implementation, one line for each suite.
func ops() map[string]opFunc {
	all := map[string]opFunc{}
	for _, suite := range []map[string]opFunc{
		canOps(),
		hashOps(),
		sigOps(),
		codebookOps(),
		merkleOps(),
		blobOps(),
		wireOps(),
		toolOps(),
		receiptOps(),
		ledgerOps(),
		capsOps(),
		irOps(),
		sealOps(),
		packageOps(),
		datasetOps(),
		tlogOps(),
		ringsOps(),
	} {
		maps.Copy(all, suite)
	}
	return all
}

// opFunc answers one request: the output, or an error with a code.
type opFunc func(ctx context.Context, input json.RawMessage) (any, error)

// do makes an opFunc of f, whose In is the op's input, decoded strictly, and
// whose Out its output.
func do[In, Out any](f func(In) (Out, error)) opFunc {
	return doContext(func(_ context.Context, in In) (Out, error) { return f(in) })
}

// doContext is do for an op that may take long.
func doContext[In, Out any](f func(context.Context, In) (Out, error)) opFunc {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var in In
		if err := strictJSON(raw, &in); err != nil {
			return nil, &inputError{err}
		}
		return f(ctx, in)
	}
}

// inputError is an input that an op does not have: the vector is wrong, not what
// is in it.
type inputError struct{ err error }

func (e *inputError) Error() string { return "the op's input: " + e.err.Error() }

// badInput is an input whose members do not go together.
func badInput(format string, args ...any) error {
	return &inputError{fmt.Errorf(format, args...)}
}

// localName is what this implementation calls itself.
const localName = "mythos-go"

// local is this implementation, in this process.
type local struct{ ops map[string]opFunc }

// Local starts this implementation: the product's own code.
func Local(context.Context) (Impl, error) { return &local{ops()}, nil }

func (l *local) Hello(context.Context) (Info, error) {
	return Info{Name: localName, Ops: slices.Sorted(maps.Keys(l.ops))}, nil
}

func (l *local) Do(ctx context.Context, r Request) (Answer, error) {
	op, ok := l.ops[r.Op]
	if !ok {
		return Answer{ID: r.ID, Unsupported: true}, nil
	}
	out, err := op(ctx, r.Input)
	if err != nil {
		return refusal(r.ID, err)
	}
	raw, err := json.Marshal(out)
	return Answer{ID: r.ID, OK: true, Output: raw}, err
}

func (l *local) Close() error { return nil }

// refusal is the answer with err's code and offset.
func refusal(id string, err error) (Answer, error) {
	var wrong *inputError
	code := fault.CodeOf(err)
	if errors.As(err, &wrong) || code == "" {
		return Answer{}, err
	}
	a := Answer{ID: id, Error: string(code)}
	var e *fault.Error
	if errors.As(err, &e) && e.Offset != fault.NoOffset {
		a.Offset = &e.Offset
	}
	return a, nil
}
