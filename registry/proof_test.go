package registry_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/registry/index/sqlite"
	"github.com/mythos-run/mythos/runtime/libs/caps"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
	"github.com/mythos-run/mythos/runtime/remote/remotetest"
)

const origin = "https://registry.example"

var (
	authority = sig.NewKey([32]byte{21}, "")
	holder    = sig.NewKey([32]byte{22}, "")
	other     = sig.NewKey([32]byte{23}, "")
	noon      = time.Unix(1_700_000_000, 0) // what serve's clock shows
)

// proofs trusts authority for packages whose names begin with demo.
func proofs() *registry.Proofs {
	return &registry.Proofs{Audiences: []string{origin}, Use: func(name string, _ time.Time) (caps.Use, error) {
		return caps.Use{Authority: func(a sig.AgentID) bool {
			return a.Equal(authority.Agent()) && (name == "" || strings.HasPrefix(name, "demo"))
		}}, nil
	}}
}

// grant returns a capability of authority for holder.
func grant(p caps.Power) caps.Capability {
	return caps.Capability{
		Subject: holder.Agent(), Scope: caps.ScopeOf(p), Delegable: true,
		NotBefore: noon.Add(-time.Hour).UnixMicro(), ExpiresAt: noon.Add(time.Hour).UnixMicro(),
	}
}

func writing() caps.Capability {
	return grant(&caps.BlobWrite{Namespace: origin, MaxSize: 100, MediaAllow: []string{registry.ProofMedia}})
}

// attempt is a request with a proof, as it is signed and as it is sent.
type attempt struct {
	grant        caps.Capability
	by           sig.Key // of the capability
	asked        caps.RegistryRequest
	signer       sig.Key
	method, path string
	body         string
}

// attemptOf returns one that is as it should be.
func attemptOf(c caps.Capability, method, path, body string) attempt {
	sum := cid.Sum([]byte(body))
	return attempt{c, authority, caps.RegistryRequest{
		Audience: origin, Method: method, Path: path, BodyHash: sum, Time: noon.UnixMicro(),
	}, holder, method, path, body}
}

func (a attempt) header(t *testing.T) string {
	t.Helper()
	link, _, err1 := caps.Issue(a.grant, a.by)
	raw, _, err2 := sig.Sign(&a.asked, a.signer)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return "Mythos " + encode(caps.EncodeProof([][]byte{link})) + "." + encode(raw)
}

func (a attempt) try(t *testing.T, base string, status int, code string) {
	t.Helper()
	exchange{a.method, a.path, a.body, map[string]string{"Authorization": a.header(t)}, status, code, ""}.try(t, base)
}

func putX() attempt {
	return attemptOf(writing(), "PUT", "/objects/"+cid.Sum([]byte("x")).String(), "x")
}

func TestProof(t *testing.T) {
	server := serve(t, registry.Options{Access: &registry.Access{Proofs: proofs()}})
	for name, x := range map[string]struct {
		change func(*attempt)
		status int
		code   string
	}{
		"another audience":    {func(a *attempt) { a.asked.Audience = "https://other.example" }, 403, "registry_proof"},
		"another method":      {func(a *attempt) { a.asked.Method = "POST" }, 403, "registry_proof"},
		"another path":        {func(a *attempt) { a.asked.Path = "/has" }, 403, "registry_proof"},
		"another body":        {func(a *attempt) { a.asked.BodyHash = cid.Sum(nil) }, 403, "registry_proof"},
		"too old":             {func(a *attempt) { a.asked.Time -= 301_000_000 }, 403, "registry_proof"},
		"too new":             {func(a *attempt) { a.asked.Time += 301_000_000 }, 403, "registry_proof"},
		"another's signature": {func(a *attempt) { a.signer = other }, 403, "cap_subject"},
		"another authority":   {func(a *attempt) { a.by = other }, 403, "cap_issuer_untrusted"},
		"ended":               {func(a *attempt) { a.grant.ExpiresAt = noon.UnixMicro() }, 403, "cap_expired"},
		"not begun":           {func(a *attempt) { a.grant.NotBefore = noon.UnixMicro() + 1 }, 403, "cap_not_yet_valid"},
		"another kind":        {func(a *attempt) { a.grant = grant(&caps.PackagePublish{NamePrefix: "demo"}) }, 403, "cap_scope"},
		"another namespace": {func(a *attempt) {
			a.grant = grant(&caps.BlobWrite{Namespace: "other", MaxSize: 100, MediaAllow: []string{registry.ProofMedia}})
		}, 403, "cap_scope"},
		"too large": {func(a *attempt) {
			a.grant = grant(&caps.BlobWrite{Namespace: origin, MaxSize: 0, MediaAllow: []string{registry.ProofMedia}})
		}, 403, "cap_scope"},
		"other media": {func(a *attempt) {
			a.grant = grant(&caps.BlobWrite{Namespace: origin, MaxSize: 100, MediaAllow: []string{"text/plain"}})
		}, 403, "cap_scope"},
		"a list is demanded": {func(a *attempt) { a.grant.RevocationRequired = true }, 403, "cap_revocation_required"},
	} {
		t.Run(name, func(t *testing.T) {
			a := putX()
			x.change(&a)
			a.try(t, server.URL, x.status, x.code)
		})
	}
	a := putX()
	good := a.header(t)
	for _, text := range []string{"", ".", "Mythos", "Mythos .", "Mythos a.b", good + "=", strings.Replace(good, ".", "", 1), good[:len(good)-4], good + "." + "AA", "Mythos " + strings.Repeat("A", 40_000) + ".AA"} {
		r, err := http.NewRequestWithContext(t.Context(), "PUT", server.URL+a.path, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", text)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode/100 != 4 {
			t.Errorf("%.60s...: %d", text, resp.StatusCode)
		}
	}
	exchange{"HEAD", a.path, "", nil, 404, "", ""}.try(t, server.URL)
	a.try(t, server.URL, 201, "")
	a.try(t, server.URL, 200, "")
}

// TestProofPublishes publishes with one kind of proof what was written with the
// other.
func TestProofPublishes(t *testing.T) {
	server := serve(t, registry.Options{Access: &registry.Access{Private: true, Proofs: proofs()}})
	wide := grant(&caps.BlobWrite{Namespace: origin, MaxSize: 1 << 20, MediaAllow: []string{registry.ProofMedia}})
	put := func(b []byte) cid.Hash {
		id := cid.Sum(b)
		attemptOf(wide, "PUT", "/objects/"+id.String(), string(b)).try(t, server.URL, 201, "")
		return id
	}
	put([]byte{1})
	id := put(remotetest.Manifest(t, "demo/echo", "1.0.0", 1))
	foreign := put(remotetest.Manifest(t, "other", "1.0.0", 1))
	body := func(id cid.Hash) string {
		raw, err := json.Marshal(map[string]any{"manifest": id, "publishers": []string{index.EncodeAgents([]sig.AgentID{remotetest.Key().Agent()})}})
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	names := func(prefix string) caps.Capability { return grant(&caps.PackagePublish{NamePrefix: prefix}) }
	attemptOf(wide, "PUT", "/names/demo/echo/1.0.0", body(id)).try(t, server.URL, 403, "cap_scope")
	attemptOf(names("demo/x"), "PUT", "/names/demo/echo/1.0.0", body(id)).try(t, server.URL, 403, "cap_scope")
	attemptOf(names("o"), "PUT", "/names/other/1.0.0", body(foreign)).try(t, server.URL, 403, "cap_issuer_untrusted")
	swapped := attemptOf(names("demo/"), "PUT", "/names/demo/echo/1.0.0", body(id))
	swapped.body = body(foreign)
	swapped.try(t, server.URL, 403, "registry_proof")
	attemptOf(names("demo/"), "PUT", "/names/demo/echo/1.0.0", body(id)).try(t, server.URL, 201, "")
	attemptOf(wide, "POST", "/attestations", `{"attestation":"`+id.String()+`"}`).try(t, server.URL, 400, "can_type")
	// A proof is for writing.
	attemptOf(wide, "GET", "/objects/"+id.String(), "").try(t, server.URL, 403, "registry_forbidden")
	get := attemptOf(wide, "GET", "/objects/"+id.String(), "")
	get.asked.BodyHash = id
	get.try(t, server.URL, 403, "registry_forbidden")
}

// TestProofWithoutTrust: a trust that cannot be read is nobody's fault who asks.
func TestProofWithoutTrust(t *testing.T) {
	p := proofs()
	p.Use = func(string, time.Time) (caps.Use, error) { return caps.Use{}, errors.New("cannot be read") }
	server := serve(t, registry.Options{Access: &registry.Access{Proofs: p}})
	putX().try(t, server.URL, 503, "store_unavailable")
	none := serve(t, registry.Options{Access: &registry.Access{}})
	putX().try(t, none.URL, 401, "registry_access")
}

// TestProofBeforeBody: nothing is read of the body of somebody who may not send one.
func TestProofBeforeBody(t *testing.T) {
	x, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	s := registry.New(registry.Options{
		Objects: remote.Over(folder.Open(t.TempDir())), Index: x, Clock: func() time.Time { return noon },
		Access: &registry.Access{Proofs: proofs()},
	})
	a := attemptOf(writing(), "POST", "/attestations", "{}")
	for by, want := range map[*sig.Key]bool{&authority: true, &other: false} {
		a.by = *by
		body := &touched{Reader: strings.NewReader("{}")}
		r := httptest.NewRequestWithContext(t.Context(), a.method, a.path, body)
		r.Header.Set("Authorization", a.header(t))
		w := httptest.NewRecorder()
		if s.Handler().ServeHTTP(w, r); body.read != want {
			t.Errorf("the body was read: %t, want %t; %d %s", body.read, want, w.Code, w.Body)
		}
	}
}

// touched is a body that remembers whether it was read.
type touched struct {
	io.Reader
	read bool
}

func (b *touched) Read(p []byte) (int, error) {
	b.read = true
	return b.Reader.Read(p)
}
