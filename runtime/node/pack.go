package node

import (
	"context"

	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/pack"
)

// PackOptions says what to pack and who signs it.
type PackOptions struct {
	Dir, Out     string // the source folder and where to write; required
	Key          string // key file of role publisher or dev; "": the local dev key
	AllowSecrets bool   // pack what looks like a secret
}

// Pack packs a source folder and returns who signed it. A package that the
// local dev key signs is remembered as packed here.
func (n *Node) Pack(ctx context.Context, o PackOptions) (*pack.Built, sig.AgentID, error) {
	key, err := n.signer(o.Key)
	if err != nil {
		return nil, sig.AgentID{}, err
	}
	local, err := n.isDev(key)
	if err == nil && local {
		err = n.canMark()
	}
	if err != nil {
		return nil, sig.AgentID{}, err
	}
	built, err := pack.Build(ctx, pack.BuildOptions{
		Dir: o.Dir, Out: o.Out, Signer: key, Host: n.host(),
		Kinds: n.kinds(), CheckModule: n.CheckModule, AllowSecrets: o.AllowSecrets,
	})
	if err != nil {
		return nil, sig.AgentID{}, err
	}
	if local {
		err = n.MarkPacked(built.PackageID)
	} else {
		err = n.keepSigner(key.Agent(), sig.Publisher)
	}
	return built, key.Agent(), err
}

// isDev reports whether a key is this home's dev key.
func (n *Node) isDev(key sig.Key) (bool, error) {
	dev, role, err := LoadKey(n.ownPath(sig.Dev))
	if isMissing(err) {
		return false, nil
	}
	return err == nil && role == sig.Dev && dev.Agent().Equal(key.Agent()), err
}

// signer returns the key that signs a package.
func (n *Node) signer(file string) (sig.Key, error) {
	if file == "" {
		return n.DevKey()
	}
	key, role, err := LoadKey(file)
	if err == nil && role != sig.Publisher && role != sig.Dev {
		err = fault.New(ErrKeyRole, "a key of role %s; packages are signed by a publisher or dev key", role).About(file)
	}
	return key, err
}
