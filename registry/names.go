package registry

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/closure"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/remote"
)

const (
	latest      = "latest"
	maxNameBody = 64 << 10 // bytes
	maxPage     = 1000
	hasBatch    = 500
)

// version is a published version in an answer.
type version struct {
	Schema     string   `json:"schema,omitempty"`
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Manifest   cid.Hash `json:"manifest"`
	PackageID  cid.Hash `json:"package_id"`
	Publishers []string `json:"publishers"` // agents in hex
	Time       int64    `json:"time"`       // microseconds since 1970
}

func newVersion(schema string, e index.Entry) version {
	v := version{Schema: schema, Name: e.Name, Version: e.Version, Manifest: e.Manifest, PackageID: e.PackageID, Publishers: []string{}, Time: e.Time}
	for _, a := range e.Publishers {
		v.Publishers = append(v.Publishers, hex.EncodeToString(a.AppendCAN(nil)))
	}
	return v
}

// cutVersion splits NAME/VERSION.
func cutVersion(path string) (name, version string, err error) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", "", fault.New(ErrPath, "it is /names/NAME/VERSION; /versions/NAME lists the versions").About(path)
	}
	name, version = path[:i], path[i+1:]
	if !manifest.CheckName(name) {
		return "", "", fault.New(ErrRequest, "%.80q is no name of a package", name)
	}
	if _, err := manifest.ParseVersion(version); err != nil && version != latest {
		return "", "", fault.New(ErrRequest, "%.80q is no semantic version", version)
	}
	return name, version, nil
}

func (s *Service) getVersion(w http.ResponseWriter, r *http.Request) error {
	name, text, err := cutVersion(r.PathValue("path"))
	if err != nil {
		return err
	}
	e, ok, err := s.find(r.Context(), name, text)
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(remote.ErrNoVersion, "%s@%s is not published here", name, text)
	}
	s.answer(w, r, newVersion("mythos.registry.version/1", e))
	return nil
}

func (s *Service) find(ctx context.Context, name, text string) (index.Entry, bool, error) {
	if text != latest {
		return s.Index.Version(ctx, name, text)
	}
	all, err := s.sorted(ctx, name)
	if err != nil {
		return index.Entry{}, false, err
	}
	newest, _ := remote.Newest(func(yield func(remote.Version, error) bool) {
		for _, e := range all {
			if !yield(remote.Version{Version: e.Version, Manifest: e.Manifest}, nil) {
				return
			}
		}
	})
	i := slices.IndexFunc(all, func(e index.Entry) bool { return e.Version == newest.Version })
	if i < 0 {
		return index.Entry{}, false, nil
	}
	return all[i], true, nil
}

// sorted returns the versions of a name, ascending.
func (s *Service) sorted(ctx context.Context, name string) ([]index.Entry, error) {
	all, err := s.Index.Versions(ctx, name)
	slices.SortFunc(all, func(a, b index.Entry) int {
		x, _ := manifest.ParseVersion(a.Version) // none other is published
		y, _ := manifest.ParseVersion(b.Version)
		return cmp.Or(x.Compare(y), strings.Compare(a.Version, b.Version))
	})
	return all, err
}

func (s *Service) versions(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if !manifest.CheckName(name) {
		return fault.New(ErrRequest, "%.80q is no name of a package", name)
	}
	all, err := s.sorted(r.Context(), name)
	if err != nil {
		return err
	}
	if after := r.URL.Query().Get("after"); after != "" {
		i := slices.IndexFunc(all, func(e index.Entry) bool { return e.Version == after })
		if i < 0 {
			return fault.New(remote.ErrNoVersion, "%s@%.80s is not published here", name, after)
		}
		all = all[i+1:]
	}
	page := []version{}
	for _, e := range all[:min(len(all), maxPage)] {
		page = append(page, newVersion("", e))
	}
	s.answer(w, r, struct {
		Schema   string    `json:"schema"`
		Versions []version `json:"versions"`
		More     bool      `json:"more"`
	}{"mythos.registry.versions/1", page, len(all) > maxPage})
	return nil
}

func (s *Service) getPackage(w http.ResponseWriter, r *http.Request) error {
	id, err := parseCID(r.PathValue("id"))
	if err != nil {
		return err
	}
	list, err := s.Index.Package(r.Context(), id)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fault.New(remote.ErrNoVersion, "no package of that id is published here").About(id.String())
	}
	s.answer(w, r, struct {
		Schema    string     `json:"schema"`
		Manifests []cid.Hash `json:"manifests"`
	}{"mythos.registry.package/1", list})
	return nil
}

func (s *Service) publish(w http.ResponseWriter, r *http.Request) error {
	name, text, err := cutVersion(r.PathValue("path"))
	if err != nil {
		return err
	}
	var ask struct {
		Manifest   cid.Hash `json:"manifest"`
		Publishers []string `json:"publishers"`
	}
	if err := readJSON(r, maxNameBody, &ask); err != nil {
		return err
	}
	raw, err := remote.Fetch(r.Context(), s.Objects, ask.Manifest, manifest.MaxBytes)
	if err != nil {
		return incomplete(err)
	}
	e, err := s.entry(raw, ask.Publishers)
	if err != nil {
		return err
	}
	if e.Name != name || e.Version != text {
		return fault.New(ErrRequest, "the manifest is of %s@%s", e.Name, e.Version).About(name + "@" + text)
	}
	if err := s.complete(r.Context(), ask.Manifest); err != nil {
		return err
	}
	stands, added, err := s.Index.Publish(r.Context(), e)
	switch {
	case err != nil:
		return err
	case stands.Manifest != e.Manifest:
		return fault.New(remote.ErrTaken, "it stands for manifest %s", stands.Manifest).About(name + "@" + text)
	}
	s.send(w, status(added), newVersion("mythos.registry.version/1", stands))
	return nil
}

// entry makes the entry of a manifest, once every publisher that is named has
// signed it.
func (s *Service) entry(raw []byte, publishers []string) (index.Entry, error) {
	u, err := manifest.Decode(raw)
	if err != nil {
		return index.Entry{}, err
	}
	if len(publishers) == 0 {
		return index.Entry{}, fault.New(ErrPublisher, "the request names no publisher")
	}
	e := index.Entry{
		Name: u.Claims().Name, Version: u.Claims().Version, Manifest: u.CID(), PackageID: u.PackageID(), Time: s.Clock().UnixMicro(),
	}
	for _, text := range publishers {
		agent, err := index.DecodeAgent(text)
		if err != nil {
			return e, fault.New(ErrRequest, "%.80q is no agent: %w", text, err)
		}
		if err := signed(u, agent); err != nil {
			return e, err
		}
		e.Publishers = append(e.Publishers, agent)
	}
	return e, nil
}

// signed reports whether an agent has signed a manifest.
func signed(u *manifest.Unverified, by sig.AgentID) error {
	_, _, err := u.Authorise([]manifest.Publisher{{Keys: []sig.AgentID{by}, Threshold: 1, Covers: true}})
	if err != nil {
		return fault.New(ErrPublisher, "key %s: %w", by.KeyID(), err).About(u.PackageID().String())
	}
	return nil
}

// complete refuses a manifest of whose closure something is missing. All of it is asked
// for, also what was read: so a collection that has not seen the name yet leaves it alone.
func (s *Service) complete(ctx context.Context, id cid.Hash) error {
	var batch []cid.Hash
	look := func() error {
		there, err := s.Objects.Has(ctx, batch)
		if i := slices.Index(there, false); err == nil && i >= 0 {
			err = fault.New(cas.ErrNotFound, "it is not here").About(batch[i].String())
		}
		batch = batch[:0]
		return err
	}
	get := func(ctx context.Context, id cid.Hash, limit int64) ([]byte, error) {
		return remote.Fetch(ctx, s.Objects, id, limit)
	}
	err := closure.Walk(ctx, get, id, func(o closure.Object) error {
		if batch = append(batch, o.CID); len(batch) < hasBatch {
			return nil
		}
		return look()
	})
	if err == nil {
		err = look()
	}
	return incomplete(err)
}

// incomplete says of an object that is not there that the closure lacks it.
func incomplete(err error) error {
	if errors.Is(err, cas.ErrNotFound) {
		var e *fault.Error
		errors.As(err, &e)
		return fault.New(ErrIncomplete, "an object of the package is not here; push it first").About(e.Subject)
	}
	return err
}
