package cli

import (
	"context"

	"github.com/mythos-run/mythos/runtime/libs/abi"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/evidence"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

// names finds what people call the runs and tools of receipts. What is missing or
// damaged has no name; an error says that the ledger or store could not be read.
type names struct {
	*records
	runs  map[cid.Hash]string              // run ids by record; nil: not read yet
	tools map[cid.Hash]map[cid.Hash]string // tool names by manifest CID and tool id
}

// run returns the run id of a run record, "" if there is none.
func (n *names) run(ctx context.Context, record cid.Hash) (string, error) {
	if n.runs == nil {
		entries, err := n.read(ctx, ledger.Filter{Kinds: []ledger.Kind{ledger.KindRunRecord}})
		if err != nil {
			return "", err
		}
		n.runs = map[cid.Hash]string{}
		for _, rec := range entries {
			var x evidence.RunRecord
			if id, err := sig.Decode(rec.Body, &x); err == nil {
				n.runs[id] = x.RunID
			}
		}
	}
	return n.runs[record], nil
}

// tool returns the name of a receipt's tool: one that is built in, or one of the
// package that the evidence names, if its manifest is at hand. A tool id is the
// hash of its name, so that the name is right whoever wrote the manifest.
func (n *names) tool(ctx context.Context, x *receipt.Receipt) (string, error) {
	if name := abi.BuiltinTool(x.ToolID); name != "" {
		return name, nil
	}
	for _, id := range x.Evidence {
		raw, err := n.object(ctx, id)
		if err != nil {
			if !absent(err) && unreadable(err) {
				return "", err
			}
			continue
		}
		ev, err := evidence.DecodeEffect(raw)
		if err != nil {
			continue
		}
		tools, err := n.toolsOf(ctx, ev.ManifestCID)
		if name := tools[x.ToolID]; name != "" || err != nil {
			return name, err
		}
	}
	return "", nil
}

// toolsOf returns the names of a package's tools by their ids.
func (n *names) toolsOf(ctx context.Context, manifestCID cid.Hash) (map[cid.Hash]string, error) {
	if tools, ok := n.tools[manifestCID]; ok {
		return tools, nil
	}
	raw, err := n.objects.Get(ctx, manifestCID, maxInspect)
	if err != nil && !absent(err) && unreadable(err) {
		return nil, err
	}
	tools := map[cid.Hash]string{}
	if m, err := manifest.Decode(raw); err == nil {
		for _, b := range m.Claims().Modules {
			t := b.Tool
			tools[abi.ToolID(t.Name, t.Interface, t.RequestTypeID, t.ResponseTypeID)] = t.Name
		}
	}
	if n.tools == nil {
		n.tools = map[cid.Hash]map[cid.Hash]string{}
	}
	n.tools[manifestCID] = tools
	return tools, nil
}
