package pack

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// grantable lists the powers that a module can be given, with the fields of their
// scopes; a requirement without any field is of any scope.
var grantable = []struct {
	kind   uint8
	fields []string
}{
	{caps.KindBlobRead, []string{"cid"}},
	{caps.KindNetConnect, []string{"hosts", "ports", "methods"}},
	{caps.KindFsRead, []string{"path"}},
	{caps.KindFsWrite, []string{"path", "max_bytes"}},
	{caps.KindClock, nil},
	{caps.KindRandom, nil},
	{caps.KindSecretRead, []string{"name"}},
}

// caps reads what a module requires (RFC-MYTHOS-0006 §8): the kind by name with
// the fields of its scope, or by number with the scope as a JSON view.
func (f *fields) caps(n *jsonNode) []manifest.CapRequirement {
	var out []manifest.CapRequirement
	for _, item := range f.list(n, "caps_required") {
		c, ok := f.capability(item)
		if !ok {
			return nil
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b manifest.CapRequirement) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(string(a.Scope), string(b.Scope)))
	})
	return out
}

func (f *fields) capability(item *jsonNode) (manifest.CapRequirement, bool) {
	var c manifest.CapRequirement
	if obj, ok := item.value.(*jsonObject); ok {
		for _, m := range obj.members {
			if name, ok := m.node.value.(string); ok && m.key == "kind" {
				return f.namedCapability(item, m.node, name)
			}
		}
	}
	o := f.object(item, "a capability", []string{"kind"}, []string{"scope"})
	if o == nil {
		return c, false
	}
	c.Kind = uint8(f.number(o["kind"], "kind", 1<<8-1, 0))
	if s := o["scope"]; s != nil {
		var err error
		if c.Scope, err = can.FromJSON(f.raw[s.start:s.end]); err != nil {
			f.fail(s, "scope: %w", err)
		}
	}
	return c, f.err == nil
}

// namedCapability reads {"kind": "NetConnect", "hosts": [...], ...}.
func (f *fields) namedCapability(item, at *jsonNode, name string) (manifest.CapRequirement, bool) {
	var names []string
	for _, g := range grantable {
		names = append(names, caps.KindName(g.kind))
	}
	i := f.oneOf(at, "kind", names, -1)
	if i < 0 {
		return manifest.CapRequirement{}, false
	}
	o := f.object(item, "a capability of kind "+name, []string{"kind"}, grantable[i].fields)
	c := manifest.CapRequirement{Kind: grantable[i].kind}
	if o == nil || len(o) == 1 && c.Kind != caps.KindClock && c.Kind != caps.KindRandom {
		return c, o != nil
	}
	scope := caps.ScopeOf(f.power(c.Kind, o))
	if err := caps.CheckScope(scope); f.err == nil && err != nil {
		f.fail(item, "%s: %w", name, err)
	}
	c.Scope = scope.Payload
	return c, f.err == nil
}

func (f *fields) power(kind uint8, o map[string]*jsonNode) caps.Power {
	switch kind {
	case caps.KindBlobRead:
		return &caps.BlobRead{CID: f.hash(o["cid"], "cid")}
	case caps.KindNetConnect:
		return &caps.NetConnect{
			Hosts: f.texts(o["hosts"], "hosts", true), Ports: f.ports(o["ports"]), Methods: f.texts(o["methods"], "methods", true),
		}
	case caps.KindFsRead:
		return &caps.FsRead{Path: f.text(o["path"], "path")}
	case caps.KindFsWrite:
		return &caps.FsWrite{Path: f.text(o["path"], "path"), MaxBytes: f.number(o["max_bytes"], "max_bytes", 1<<63-1, 0)}
	case caps.KindClock:
		return &caps.Clock{}
	case caps.KindRandom:
		return &caps.Random{}
	}
	return &caps.SecretRead{Name: f.text(o["name"], "name")}
}

// ports reads a list of port numbers, or one.
func (f *fields) ports(n *jsonNode) []uint32 {
	if n == nil {
		return []uint32{}
	}
	if _, ok := n.value.(json.Number); ok {
		return []uint32{uint32(f.number(n, "ports", 1<<16-1, 0))}
	}
	out := []uint32{}
	for i, p := range f.list(n, "ports") {
		out = append(out, uint32(f.number(p, "ports "+strconv.Itoa(i), 1<<16-1, 0)))
	}
	return out
}
