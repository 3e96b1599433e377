package node

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"

	"github.com/mythos-run/mythos/internal/atomicfile"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

// Codes of names.
const (
	ErrDowngrade fault.Code = "version_downgrade" // an older version than one that was pulled or run
	ErrNames     fault.Code = "names_file"        // a file of names/ that is damaged
)

const (
	namesSchema = "mythos.names/1"
	maxNames    = 4 << 20 // bytes of a file
	maxPulled   = 10_000  // versions, and keys, that a file remembers
)

// named is what this node remembers of a package's name. Versions are held against
// the keys that signed them: who has another key cannot keep this node from updates
// by a version of 999.
type named struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	// Pulled maps versions that were pulled by name to their manifests.
	Pulled map[string]cid.Hash `json:"pulled"`
	// Highest maps key ids to the highest version with a signature that was verified,
	// Claimed to that of a key which nobody here knew. What is claimed counts only
	// against what is claimed.
	Highest map[cid.Hash]string `json:"highest"`
	Claimed map[cid.Hash]string `json:"claimed"`
}

func (n *Node) namePath(name string) string {
	return filepath.Join(n.Paths.Data, "names", bucket.Escape(name)+".json")
}

func (n *Node) named(name string) (*named, error) {
	x := &named{Schema: namesSchema, Name: name}
	path := n.namePath(name)
	raw, err := readFile(path, maxNames)
	if err != nil && !isMissing(err) {
		return nil, err
	}
	if err == nil && (json.Unmarshal(raw, x) != nil || x.Schema != namesSchema || x.Name != name) {
		return nil, fault.New(ErrNames, "it is not what was written; without it, older versions are taken again").About(path)
	}
	for _, m := range []*map[cid.Hash]string{&x.Highest, &x.Claimed} {
		if *m == nil {
			*m = map[cid.Hash]string{}
		}
	}
	if x.Pulled == nil {
		x.Pulled = map[string]cid.Hash{}
	}
	return x, nil
}

// changeName changes what is remembered of a name, unless change says that nothing
// changed.
func (n *Node) changeName(ctx context.Context, name string, change func(*named) bool) error {
	path := n.namePath(name)
	if x, err := n.named(name); err != nil || !change(x) { // without the lock: most often there is nothing to do
		return err
	}
	lock, err := lockOwn(ctx, path)
	if err != nil {
		return err
	}
	defer lock.Close()
	x, err := n.named(name)
	if err != nil || !change(x) {
		return err
	}
	raw, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return err
	}
	return pathError(path, atomicfile.Write(path, append(raw, '\n'), 0o600))
}

// raise notes a version for keys and reports whether that changed anything.
func raise(highest map[cid.Hash]string, keys []cid.Hash, version string) bool {
	changed := false
	for _, k := range keys {
		had, ok := highest[k]
		if ok && !older(had, version) || !ok && len(highest) >= maxPulled {
			continue
		}
		highest[k], changed = version, true
	}
	return changed
}

// older reports whether a is a lower version than b. What is no version is lower.
func older(a, b string) bool {
	x, err := manifest.ParseVersion(a)
	if err != nil {
		return true
	}
	y, err := manifest.ParseVersion(b)
	return err == nil && x.Compare(y) < 0
}

// downgrade refuses a version that is older than one of the same name and one of
// its keys.
func (x *named) downgrade(version string, s signedBy) error {
	highest := maps.Clone(x.Highest)
	keys := s.known
	if len(keys) == 0 {
		keys = s.claimed
		for k, v := range x.Claimed {
			raise(highest, []cid.Hash{k}, v)
		}
	}
	for _, k := range keys {
		if had, ok := highest[k]; ok && older(version, had) {
			return fault.New(ErrDowngrade, "version %s is older than %s, which was pulled or run here before, signed by the same key %s", version, had, k).About(x.Name)
		}
	}
	return nil
}

// signedBy says by whose keys a manifest is signed.
type signedBy struct {
	known   []cid.Hash // ids of known keys whose signatures verify
	claimed []cid.Hash // ids that its signatures name
}

func (n *Node) signedBy(u *manifest.Unverified) (s signedBy, err error) {
	keys, err := n.Publishers()
	if err != nil {
		return s, err
	}
	for _, x := range u.Claims().Signatures {
		if x.KeyID != nil {
			s.claimed = append(s.claimed, *x.KeyID)
		}
	}
	if len(keys) == 0 {
		return s, nil
	}
	signers, _, err := u.Authorise([]manifest.Publisher{{Keys: keys, Threshold: 1, Covers: true}})
	if err != nil && !errors.Is(err, manifest.ErrSignerUnknown) && !errors.Is(err, manifest.ErrUnsigned) {
		return s, err
	}
	s.known = keyIDs(signers)
	return s, nil
}

func keyIDs(agents []sig.AgentID) []cid.Hash {
	var ids []cid.Hash
	for _, a := range agents {
		ids = append(ids, a.KeyID())
	}
	return ids
}

// pulled remembers that a package was pulled by its name.
func (n *Node) pulled(ctx context.Context, u *manifest.Unverified, s signedBy) error {
	version, id := u.Claims().Version, u.CID()
	return n.changeName(ctx, u.Claims().Name, func(x *named) bool {
		changed := raise(x.Highest, s.known, version)
		if len(s.known) == 0 {
			changed = raise(x.Claimed, s.claimed, version)
		}
		if had, ok := x.Pulled[version]; ok && had == id || !ok && len(x.Pulled) >= maxPulled {
			return changed
		}
		x.Pulled[version] = id
		return true
	})
}

// ran remembers that a package was run under its name. One that the dev key alone
// vouches for is this home's own, of which any version may be run.
func (n *Node) ran(ctx context.Context, m *manifest.Manifest, signers []sig.AgentID) error {
	return n.changeName(ctx, m.Name, func(x *named) bool { return raise(x.Highest, keyIDs(signers), m.Version) })
}
