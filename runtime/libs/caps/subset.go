package caps

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// rule is what one kind means: how its payload decodes, when it is sound, and
// when a child is a subset of a parent, row by row.
type rule struct {
	kind   uint8
	name   string
	decode func(payload []byte) (Power, error)
	sound  func(p Power) string // "" or why it means nothing
	rows   []row
}

// row is one row of the table in RFC-MYTHOS-0008 §5: a field of the scope, or
// what two fields say together.
type row struct {
	name  string
	wider func(parent, child Power) string // "" or why the child is no subset
}

// breach is why one scope does not cover another, or a use.
type breach struct {
	code  fault.Code
	field string // a row of the table, or a constraint key; may be empty
	why   string
}

// err returns b as an error, nil for nil.
func (b *breach) err() error {
	if b == nil {
		return nil
	}
	return fault.New(b.code, "%s", b.why)
}

func beyond(field, why string) *breach { return &breach{ErrScope, field, why} }

// of builds a rule over the concrete struct of a kind. sound may be nil.
func of[T any, P interface {
	*T
	Power
	ReadCAN(r *can.Reader)
}](name string, sound func(P) string, rows ...over[P],
) rule {
	r := rule{
		kind: P(nil).Kind(), name: name,
		decode: func(payload []byte) (Power, error) {
			x, err := decode[T, P](payload)
			return x, err
		},
		sound: func(p Power) string {
			if sound == nil {
				return ""
			}
			return sound(p.(P))
		},
	}
	for _, x := range rows {
		r.rows = append(r.rows, row{x.name, func(parent, child Power) string { return x.wider(parent.(P), child.(P)) }})
	}
	return r
}

// over is a row over the concrete struct of a kind.
type over[P any] struct {
	name  string
	wider func(parent, child P) string
}

// rules is the table of RFC-MYTHOS-0008 §5, ascending by kind. It is never
// written to.
var rules = []rule{
	of("BlobRead", soundRange,
		same("cid", func(x *BlobRead) cid.Hash { return x.CID }),
		over[*BlobRead]{"range", rangeWider}),
	of("BlobWrite", nil,
		same("namespace", func(x *BlobWrite) string { return x.Namespace }),
		atMost("max_size", func(x *BlobWrite) uint64 { return x.MaxSize }),
		among("media_allow", func(x *BlobWrite) []string { return x.MediaAllow })),
	of("BlobPin", nil,
		same("cid", func(x *BlobPin) cid.Hash { return x.CID }),
		atMost("ttl_us", func(x *BlobPin) uint64 { return x.TTLMicros })),
	of("BlobDelete", nil,
		same("cid", func(x *BlobDelete) cid.Hash { return x.CID })),
	of("ToolCall", nil,
		same("tool_id", func(x *ToolCall) cid.Hash { return x.ToolID }),
		atMost("max_calls", func(x *ToolCall) uint32 { return x.MaxCalls })),
	of("TrainRun", nil,
		same("recipe_id", func(x *TrainRun) cid.Hash { return x.RecipeID }),
		atMost("max_jobs", func(x *TrainRun) uint32 { return x.MaxJobs }),
		atMost("max_tokens", func(x *TrainRun) uint64 { return x.MaxTokens }),
		atMostIf("max_gpu_ms", func(x *TrainRun) *uint64 { return x.MaxGPUMillis })),
	of("EvalRun", nil,
		same("suite_id", func(x *EvalRun) cid.Hash { return x.SuiteID }),
		atMost("max_runs", func(x *EvalRun) uint32 { return x.MaxRuns })),
	of("DeployPromote", nil,
		same("ring_id", func(x *DeployPromote) uint8 { return x.RingID }),
		same("policy_id", func(x *DeployPromote) cid.Hash { return x.PolicyID })),
	of("ComputeSpawn", nil,
		same("pool_id", func(x *ComputeSpawn) cid.Hash { return x.PoolID }),
		atMost("max_workers", func(x *ComputeSpawn) uint32 { return x.MaxWorkers }),
		atMost("max_cpu_us", func(x *ComputeSpawn) uint64 { return x.MaxCPUMicros }),
		atMost("max_io", func(x *ComputeSpawn) uint32 { return x.MaxIO })),
	of("CellRead", nil,
		same("cell_id", func(x *CellRead) cid.Hash { return x.CellID }),
		over[*CellRead]{"key_prefix", func(p, c *CellRead) string {
			if !bytes.HasPrefix(c.KeyPrefix, p.KeyPrefix) {
				return fmt.Sprintf("key_prefix %x does not begin with %x", c.KeyPrefix, p.KeyPrefix)
			}
			return ""
		}}),
	of("CellWrite", nil,
		same("cell_id", func(x *CellWrite) cid.Hash { return x.CellID }),
		atMost("max_events", func(x *CellWrite) uint32 { return x.MaxEvents }),
		amongIf("event_type_allow", func(x *CellWrite) []uint32 { return x.EventTypeAllow })),
	of("NetConnect", soundNet,
		over[*NetConnect]{"hosts", hostsWider},
		among("ports", func(x *NetConnect) []uint32 { return x.Ports }),
		amongIf("methods", func(x *NetConnect) []string { return x.Methods })),
	of("FsRead", func(x *FsRead) string { return soundPath(x.Path) },
		over[*FsRead]{"path", func(p, c *FsRead) string { return pathWider(p.Path, c.Path) }}),
	of("FsWrite", func(x *FsWrite) string { return soundPath(x.Path) },
		over[*FsWrite]{"path", func(p, c *FsWrite) string { return pathWider(p.Path, c.Path) }},
		atMost("max_bytes", func(x *FsWrite) uint64 { return x.MaxBytes })),
	of[Clock]("Clock", nil),
	of[Random]("Random", nil),
	of("SecretRead", nil,
		same("name", func(x *SecretRead) string { return x.Name })),
	of("PackageRun", nil,
		same("package_id", func(x *PackageRun) cid.Hash { return x.PackageID }),
		atMost("ring", func(x *PackageRun) uint8 { return x.Ring })),
	of("PackagePublish", nil,
		over[*PackagePublish]{"name_prefix", func(p, c *PackagePublish) string {
			if !strings.HasPrefix(c.NamePrefix, p.NamePrefix) {
				return fmt.Sprintf("name_prefix %q does not begin with %q", c.NamePrefix, p.NamePrefix)
			}
			return ""
		}}),
}

func ruleOf(kind uint8) (rule, bool) {
	for i := range rules {
		if rules[i].kind == kind {
			return rules[i], true
		}
	}
	return rule{}, false
}

// same is the row of a field that must be equal.
func same[P any, T comparable](field string, get func(P) T) over[P] {
	return over[P]{field, func(p, c P) string { return unequal(field, get(p), get(c)) }}
}

// atMost is the row of a limit.
func atMost[P any, T uint8 | uint32 | uint64](field string, get func(P) T) over[P] {
	return over[P]{field, func(p, c P) string { return above(field, get(p), get(c)) }}
}

// atMostIf is atMost for a limit whose absence means none.
func atMostIf[P any](field string, get func(P) *uint64) over[P] {
	return over[P]{field, func(parent, child P) string {
		p, c := get(parent), get(child)
		switch {
		case p == nil:
			return ""
		case c == nil:
			return fmt.Sprintf("no %s, the parent has %d", field, *p)
		}
		return above(field, *p, *c)
	}}
}

// among is the row of an allow list: lists compare as sets.
func among[P any, T comparable](field string, get func(P) []T) over[P] {
	return over[P]{field, func(p, c P) string { return extra(field, get(p), get(c)) }}
}

// amongIf is among for a list whose absence restricts nothing; a present one is
// never empty.
func amongIf[P any, T comparable](field string, get func(P) []T) over[P] {
	return over[P]{field, func(parent, child P) string {
		p, c := get(parent), get(child)
		switch {
		case len(p) == 0:
			return ""
		case len(c) == 0:
			return fmt.Sprintf("no %s, the parent has some", field)
		}
		return extra(field, p, c)
	}}
}

func unequal[T comparable](field string, want, got T) string {
	if want != got {
		return fmt.Sprintf("%s %v, not %v", field, got, want)
	}
	return ""
}

func above[T uint8 | uint32 | uint64](field string, limit, got T) string {
	if got > limit {
		return fmt.Sprintf("%s %d exceeds %d", field, got, limit)
	}
	return ""
}

func extra[T comparable](field string, parent, child []T) string {
	allowed := setOf(parent)
	for _, x := range child {
		if !allowed[x] {
			return fmt.Sprintf("%s %#v is not allowed", field, x)
		}
	}
	return ""
}

func setOf[T comparable](list []T) map[T]bool {
	set := make(map[T]bool, len(list))
	for _, x := range list {
		set[x] = true
	}
	return set
}
