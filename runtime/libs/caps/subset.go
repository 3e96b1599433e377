package caps

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
)

// rule is what one kind means: how its payload decodes, when it is sound, and
// when a child is a subset of a parent. The two verdicts are "" or say why not.
type rule struct {
	kind   uint8
	name   string
	decode func(payload []byte) (Power, error)
	sound  func(p Power) string
	wider  func(parent, child Power) string
}

// row builds a rule over the concrete struct of a kind. sound may be nil.
func row[T any, P interface {
	*T
	Power
	ReadCAN(r *can.Reader)
}](name string, sound func(P) string, wider func(parent, child P) string,
) rule {
	return rule{
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
		wider: func(parent, child Power) string { return wider(parent.(P), child.(P)) },
	}
}

// rules is the table of RFC-MYTHOS-0008 §5, ascending by kind. It is never
// written to.
var rules = []rule{
	row("BlobRead", soundRange, func(p, c *BlobRead) string {
		return first(same("cid", p.CID, c.CID), rangeWider(p, c))
	}),
	row("BlobWrite", nil, func(p, c *BlobWrite) string {
		return first(equal("namespace", p.Namespace, c.Namespace), above("max_size", p.MaxSize, c.MaxSize),
			extra("media_allow", p.MediaAllow, c.MediaAllow))
	}),
	row("BlobPin", nil, func(p, c *BlobPin) string {
		return first(same("cid", p.CID, c.CID), above("ttl_us", p.TTLMicros, c.TTLMicros))
	}),
	row("BlobDelete", nil, func(p, c *BlobDelete) string { return same("cid", p.CID, c.CID) }),
	row("ToolCall", nil, func(p, c *ToolCall) string {
		return first(same("tool_id", p.ToolID, c.ToolID), above("max_calls", p.MaxCalls, c.MaxCalls))
	}),
	row("TrainRun", nil, func(p, c *TrainRun) string {
		return first(same("recipe_id", p.RecipeID, c.RecipeID), above("max_jobs", p.MaxJobs, c.MaxJobs),
			above("max_tokens", p.MaxTokens, c.MaxTokens), aboveOptional("max_gpu_ms", p.MaxGPUMillis, c.MaxGPUMillis))
	}),
	row("EvalRun", nil, func(p, c *EvalRun) string {
		return first(same("suite_id", p.SuiteID, c.SuiteID), above("max_runs", p.MaxRuns, c.MaxRuns))
	}),
	row("DeployPromote", nil, func(p, c *DeployPromote) string {
		return first(equal("ring_id", p.RingID, c.RingID), same("policy_id", p.PolicyID, c.PolicyID))
	}),
	row("ComputeSpawn", nil, func(p, c *ComputeSpawn) string {
		return first(same("pool_id", p.PoolID, c.PoolID), above("max_workers", p.MaxWorkers, c.MaxWorkers),
			above("max_cpu_us", p.MaxCPUMicros, c.MaxCPUMicros), above("max_io", p.MaxIO, c.MaxIO))
	}),
	row("CellRead", nil, func(p, c *CellRead) string {
		if !bytes.HasPrefix(c.KeyPrefix, p.KeyPrefix) {
			return fmt.Sprintf("key_prefix %x does not begin with %x", c.KeyPrefix, p.KeyPrefix)
		}
		return same("cell_id", p.CellID, c.CellID)
	}),
	row("CellWrite", nil, func(p, c *CellWrite) string {
		return first(same("cell_id", p.CellID, c.CellID), above("max_events", p.MaxEvents, c.MaxEvents),
			extraOptional("event_type_allow", p.EventTypeAllow, c.EventTypeAllow))
	}),
	row("NetConnect", soundNet, func(p, c *NetConnect) string {
		return first(hostsWider(p.Hosts, c.Hosts), extra("ports", p.Ports, c.Ports), extraOptional("methods", p.Methods, c.Methods))
	}),
	row("FsRead", func(x *FsRead) string { return soundPath(x.Path) },
		func(p, c *FsRead) string { return pathWider(p.Path, c.Path) }),
	row("FsWrite", func(x *FsWrite) string { return soundPath(x.Path) }, func(p, c *FsWrite) string {
		return first(pathWider(p.Path, c.Path), above("max_bytes", p.MaxBytes, c.MaxBytes))
	}),
	row("Clock", nil, func(_, _ *Clock) string { return "" }),
	row("Random", nil, func(_, _ *Random) string { return "" }),
	row("SecretRead", nil, func(p, c *SecretRead) string { return equal("name", p.Name, c.Name) }),
	row("PackageRun", nil, func(p, c *PackageRun) string {
		return first(same("package_id", p.PackageID, c.PackageID), above("ring", p.Ring, c.Ring))
	}),
	row("PackagePublish", nil, func(p, c *PackagePublish) string {
		if !strings.HasPrefix(c.NamePrefix, p.NamePrefix) {
			return fmt.Sprintf("name_prefix %q does not begin with %q", c.NamePrefix, p.NamePrefix)
		}
		return ""
	}),
}

func ruleOf(kind uint8) (rule, bool) {
	for i := range rules {
		if rules[i].kind == kind {
			return rules[i], true
		}
	}
	return rule{}, false
}

// first returns the first reason that is not empty.
func first(reasons ...string) string {
	for _, why := range reasons {
		if why != "" {
			return why
		}
	}
	return ""
}

func same(field string, parent, child cid.Hash) string {
	if parent != child {
		return fmt.Sprintf("%s %s, not %s", field, child, parent)
	}
	return ""
}

func equal[T comparable](field string, parent, child T) string {
	if parent != child {
		return fmt.Sprintf("%s %#v, not %#v", field, child, parent)
	}
	return ""
}

func above[T uint8 | uint32 | uint64](field string, parent, child T) string {
	if child > parent {
		return fmt.Sprintf("%s %d exceeds %d", field, child, parent)
	}
	return ""
}

// aboveOptional is above for a limit whose absence means none.
func aboveOptional(field string, parent, child *uint64) string {
	switch {
	case parent == nil:
		return ""
	case child == nil:
		return fmt.Sprintf("no %s, the parent has %d", field, *parent)
	}
	return above(field, *parent, *child)
}

// extra compares lists as sets.
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

// extraOptional is extra for a list whose absence restricts nothing; a present
// one is never empty.
func extraOptional[T comparable](field string, parent, child []T) string {
	switch {
	case len(parent) == 0:
		return ""
	case len(child) == 0:
		return fmt.Sprintf("no %s, the parent has some", field)
	}
	return extra(field, parent, child)
}
