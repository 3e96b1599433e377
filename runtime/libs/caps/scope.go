package caps

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Power is the scope struct of a kind: *ToolCall, *BlobRead and so on.
type Power interface {
	Kind() uint8
	AppendCAN(b []byte) []byte
}

// ScopeOf returns the scope that a Capability carries for p.
func ScopeOf(p Power) Scope { return Scope{Kind: p.Kind(), Payload: p.AppendCAN(nil)} }

// The kinds of the scope structs.
func (*BlobRead) Kind() uint8       { return KindBlobRead }
func (*BlobWrite) Kind() uint8      { return KindBlobWrite }
func (*BlobPin) Kind() uint8        { return KindBlobPin }
func (*BlobDelete) Kind() uint8     { return KindBlobDelete }
func (*ToolCall) Kind() uint8       { return KindToolCall }
func (*TrainRun) Kind() uint8       { return KindTrainRun }
func (*EvalRun) Kind() uint8        { return KindEvalRun }
func (*DeployPromote) Kind() uint8  { return KindDeployPromote }
func (*ComputeSpawn) Kind() uint8   { return KindComputeSpawn }
func (*CellRead) Kind() uint8       { return KindCellRead }
func (*CellWrite) Kind() uint8      { return KindCellWrite }
func (*NetConnect) Kind() uint8     { return KindNetConnect }
func (*FsRead) Kind() uint8         { return KindFsRead }
func (*FsWrite) Kind() uint8        { return KindFsWrite }
func (*Clock) Kind() uint8          { return KindClock }
func (*Random) Kind() uint8         { return KindRandom }
func (*SecretRead) Kind() uint8     { return KindSecretRead }
func (*PackageRun) Kind() uint8     { return KindPackageRun }
func (*PackagePublish) Kind() uint8 { return KindPackagePublish }

// scope is a decoded scope payload.
type scope struct {
	rule  rule
	power Power
	// Of a ToolCall: the parsed constraints, or why they hold for nothing.
	constraints constraints
	malformed   *breach
}

// decodeScope strictly decodes the payload of a kind. Constraints outside the
// vocabulary do not fail it: they deny later, with their own code.
func decodeScope(kind uint8, payload []byte) (scope, error) {
	rule, ok := ruleOf(kind)
	if !ok {
		return scope{}, fault.New(ErrKind, "kind %d is not known and grants nothing", kind)
	}
	power, err := rule.decode(payload)
	if err != nil {
		return scope{}, err
	}
	s := scope{rule: rule, power: power}
	if call, ok := power.(*ToolCall); ok {
		s.constraints, s.malformed = parseConstraints(call.Constraints)
	}
	return s, nil
}

// sound reports why a scope that decodes still means nothing: a path with "..",
// a range past 2^64. It covers nothing and nothing covers it.
func (s scope) sound() *breach {
	if why := s.rule.sound(s.power); why != "" {
		return beyond("", why)
	}
	return nil
}

// within reports why s is no subset of parent, constraints apart.
func (s scope) within(parent scope) *breach {
	if s.rule.kind != parent.rule.kind {
		return beyond("kind", fmt.Sprintf("kind %s, not %s", s.rule.name, parent.rule.name))
	}
	if b := cmp.Or(parent.sound(), s.sound()); b != nil {
		return b
	}
	for _, row := range s.rule.rows {
		if why := row.wider(parent.power, s.power); why != "" {
			return beyond(row.name, why)
		}
	}
	return nil
}

// constrained reports why the constraints of s are no subset of parent's.
func (s scope) constrained(parent scope) *breach {
	if b := cmp.Or(parent.malformed, s.malformed); b != nil {
		return b
	}
	return s.constraints.within(parent.constraints)
}

// Covers reports whether the child scope is a subset of the parent scope, both
// canonical payloads of kind (RFC-MYTHOS-0008 §5). The error's code is
// ErrScope, ErrConstraint, ErrKind, or that of a payload which does not decode.
func Covers(kind uint8, parent, child []byte) error {
	p, err := decodeScope(kind, parent)
	if err != nil {
		return about("the parent scope", err)
	}
	c, err := decodeScope(kind, child)
	if err != nil {
		return about("the child scope", err)
	}
	return cmp.Or(c.within(p), c.constrained(p)).err()
}

// CheckScope reports whether a scope is known, decodes strictly, and means
// something: what must hold before anyone signs it.
func CheckScope(s Scope) error {
	x, err := decodeScope(s.Kind, s.Payload)
	if err != nil {
		return err
	}
	return cmp.Or(x.sound(), x.malformed).err()
}

// about names the subject of an error that has none yet.
func about(subject string, err error) error {
	var e *fault.Error
	if errors.As(err, &e) && e.Subject == "" {
		return e.About(subject)
	}
	return err
}

// decode reads one message of a generated struct.
func decode[T any, P interface {
	*T
	ReadCAN(r *can.Reader)
}](payload []byte) (P, error) {
	x := P(new(T))
	r := can.NewReader(payload)
	x.ReadCAN(&r)
	return x, r.Done()
}
