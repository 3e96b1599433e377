package executor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
	"github.com/mythos-run/mythos/runtime/runner"
)

// power is what a module asked for and the proof that gives it. What is granted is
// never more than either says.
type power struct {
	scope caps.Scope // the module's own least scope, else the leaf's
	proof caps.Verified
	ids   []cid.Hash // root to leaf
	lists []caps.ListUse
}

// powers finds a proof for each capability that the call's module requires.
func (r *run) powers(c *call) ([]power, error) {
	if c.binding == nil {
		return nil, nil
	}
	var out []power
	for _, want := range c.binding.Module.CapsRequired {
		p, err := r.power(want)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// power returns the first proof that covers a requirement; without a scope, the
// first of that kind that holds at all.
func (r *run) power(want manifest.CapRequirement) (power, error) {
	err := error(fault.New(ErrCapMissing, "its module needs a capability of kind %s, and none is at hand", caps.KindName(want.Kind)))
	first := true
	for _, p := range r.proofs {
		if p.Chain().Kind() != want.Kind {
			continue
		}
		x := power{scope: p.Chain().Leaf().Scope, proof: p}
		if want.Scope != nil {
			x.scope.Payload = want.Scope
		}
		use := r.bare()
		use.Kind, use.Scope = x.scope.Kind, x.scope.Payload
		g, refused := use.of(p)
		if refused == nil {
			refused = r.pkg.Policy().AdmitCap(want.Kind)
		}
		if refused == nil {
			x.ids, x.lists = g.CapIDs, g.Lists
			return x, nil
		}
		if first {
			err, first = refused, false
		}
	}
	return power{}, err
}

// admits decides about one concrete use of a granted power, at the time of use.
func (r *run) admits(p power, req caps.Request) error {
	if err := p.scope.Admits(req); err != nil {
		return err
	}
	use := r.bare()
	use.Request = req
	_, err := use.of(p.proof)
	return err
}

// grants turns powers into what the runner enforces.
func (r *run) grants(powers []power) (runner.Grants, error) {
	var g runner.Grants
	var net, blobs []power
	for _, p := range powers {
		switch p.scope.Kind {
		case caps.KindClock:
			g.Clock = true
		case caps.KindRandom:
			g.Random = true
		case caps.KindNetConnect:
			net = append(net, p)
		case caps.KindBlobRead:
			blobs = append(blobs, p)
		default:
			if err := r.grantNamed(&g, p.scope); err != nil {
				return g, err
			}
		}
	}
	if net != nil {
		g.Net = r.network(net)
	}
	if blobs != nil {
		g.Blob = r.blobReader(blobs)
	}
	return g, nil
}

// grantNamed grants a power over something with a name.
func (r *run) grantNamed(g *runner.Grants, s caps.Scope) error {
	in := can.NewReader(s.Payload)
	switch s.Kind {
	case caps.KindFsRead:
		var x caps.FsRead
		x.ReadCAN(&in)
		g.Read = append(g.Read, x.Path)
	case caps.KindFsWrite:
		var x caps.FsWrite
		x.ReadCAN(&in)
		g.Write = append(g.Write, runner.FsWrite{Path: x.Path, MaxBytes: x.MaxBytes})
	case caps.KindSecretRead:
		var x caps.SecretRead
		x.ReadCAN(&in)
		if r.Secret == nil {
			return fault.New(ErrCapMissing, "this node has no secrets, and its module needs %q", x.Name)
		}
		value, err := r.Secret(x.Name)
		if err != nil {
			return err
		}
		g.Secrets = append(g.Secrets, runner.Secret{Name: x.Name, Value: func() ([]byte, error) { return value, nil }})
	default:
		return fault.New(runner.ErrGrant, "no module can be given a capability of kind %s", caps.KindName(s.Kind))
	}
	return in.Done()
}

// network asks the proofs about every connection. One of them must cover it.
func (r *run) network(powers []power) *runner.Net {
	httpOnly := true
	for _, p := range powers {
		httpOnly = httpOnly && httpPower(p)
	}
	return &runner.Net{HTTPOnly: httpOnly, Allow: func(x runner.Connect) error {
		addr, ok := addrOf(x.Addr)
		if !ok {
			return fault.New(runner.ErrDenied, "%v is no address", x.Addr)
		}
		req := &caps.Connect{Host: x.Host, Addr: addr, Port: x.Port, Method: x.Method}
		return r.anyAdmits(powers, req)
	}}
}

// httpPower reports whether a NetConnect power serves only HTTP that the host
// performs: the subset rules keep methods once a link or the module names them.
func httpPower(p power) bool {
	for _, payload := range [][]byte{p.scope.Payload, p.proof.Chain().Leaf().Scope.Payload} {
		var x caps.NetConnect
		in := can.NewReader(payload)
		x.ReadCAN(&in)
		if in.Done() != nil || x.Methods != nil {
			return true
		}
	}
	return false
}

func addrOf(a netip.Addr) (caps.Addr, bool) { return caps.AddrFrom(a.Unmap().AsSlice()) }

// anyAdmits returns nil if one of the powers admits the use, else why the first
// does not, as ErrDenied.
func (r *run) anyAdmits(powers []power, req caps.Request) error {
	var first error
	for _, p := range powers {
		err := r.admits(p, req)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return fault.New(runner.ErrDenied, "%w", first)
}

// blobReader reads parts of stored blobs that some proof covers.
func (r *run) blobReader(powers []power) func(context.Context, cid.Hash, uint64, []byte) (int, error) {
	return func(ctx context.Context, id cid.Hash, off uint64, dst []byte) (int, error) {
		length := uint64(len(dst))
		if err := r.anyAdmits(powers, &caps.ReadBlob{CID: id, Start: off, Len: &length}); err != nil {
			return 0, err
		}
		n, err := readBlobAt(cas.GetFunc(ctx, r.Objects), id, off, dst)
		switch {
		case errors.Is(err, io.EOF):
			err = nil
		case errors.Is(err, cas.ErrNotFound):
			err = fault.New(runner.ErrAbsent, "%w", err)
		}
		return n, err
	}
}

// readBlobAt reads from the blob whose root is id: the chunk DAG that the object
// is, or else the object itself.
func readBlobAt(get merkle.Get, id cid.Hash, off uint64, dst []byte) (int, error) {
	flat, err := get(id, blob.FlatLimit)
	if err != nil {
		return 0, err
	}
	src, err := blob.Open(id, get)
	if err != nil {
		return bytes.NewReader(flat).ReadAt(dst, int64(min(off, 1<<62)))
	}
	if off >= src.Size() {
		return 0, nil
	}
	part, err := src.Range(off, min(uint64(len(dst)), src.Size()-off))
	if err != nil {
		return 0, err
	}
	return io.ReadFull(part, dst[:min(uint64(len(dst)), src.Size()-off)])
}

// share names who may share a worker with this call: the same package, authority
// and holder, with the same proofs.
func (r *run) share() cid.Hash {
	raw := []byte("mythos.worker")
	for _, id := range []cid.Hash{r.pkg.ID(), r.authority, r.holder} {
		raw = append(raw, id[:]...)
	}
	for _, p := range r.proofs {
		id := p.Chain().LeafID()
		raw = append(raw, id[:]...)
	}
	return cid.Sum(raw)
}
