package pairs

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/oci"
	"github.com/mythos-run/mythos/runtime/pack"
	"github.com/mythos-run/mythos/runtime/transfer"
)

// registries are the OCI registries that tools of others are tried with.
func registries() map[string]func(*testing.T) string {
	return map[string]func(*testing.T) string{"distribution": distribution, "ours": serveOCI}
}

// tool returns a function that runs a program of others, or skips.
func tool(t *testing.T, name string) func(args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed: run scripts/peers.sh go test", name)
	}
	return func(args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
		}
		return out
	}
}

// pushed is a package in a repository, with one attestation that refers to it.
type pushed struct {
	*world
	host, repository string
	artifact         cid.Hash
	attestation      []byte
}

func push(t *testing.T, w *world, server func(*testing.T) string) *pushed {
	t.Helper()
	p := &pushed{world: w, host: server(t)}
	p.repository = newRepository(p.host)
	to := inRepository(t, p.repository)
	var err error
	if p.artifact, err = pack.WriteArtifact(t.Context(), w.open(t), to, version); err != nil {
		t.Fatal(err)
	}
	c, err := pack.List(t.Context(), w.open(t))
	if err != nil {
		t.Fatal(err)
	}
	a := receipt.Attestation{SubjectHash: c.PackageID, ClaimType: receipt.ContractPass, Result: 1, TimeObserved: 1}
	if p.attestation, _, err = sig.Sign(&a, publisher()); err == nil {
		err = to.Attest(t.Context(), p.artifact, p.attestation)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// arrived checks that a repository has the package as it was pushed, and runs it.
// With referrers it has the attestation too.
func (p *pushed) arrived(t *testing.T, repository, tag string, referrers bool) {
	t.Helper()
	r := inRepository(t, repository)
	id, artifact, err := r.Resolve(t.Context(), tag)
	if err != nil || id != p.id || artifact != p.artifact {
		t.Fatalf("%s:%s is %v in %v, %v; want %v in %v", repository, tag, id, artifact, err, p.id, p.artifact)
	}
	if referrers {
		ids, err := r.Attestations(t.Context(), artifact)
		if want := []cid.Hash{cid.Sum(p.attestation)}; err != nil || !slices.Equal(ids, want) {
			t.Errorf("attestations %v, %v; want %v", ids, err, want)
		}
	}
	p.run(t, &tagged{r})
}

// arrivedIn is arrived for an image layout.
func (p *pushed) arrivedIn(t *testing.T, dir string, referrers bool) {
	t.Helper()
	src, err := pack.Open(t.Context(), dir, pack.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	list, err := src.(gate.Attested).Attestations(t.Context())
	if err != nil || referrers != (len(list) == 1 && bytes.Equal(list[0].Raw, p.attestation)) || !referrers && len(list) != 0 {
		t.Errorf("%d attestations, %v", len(list), err)
	}
	p.run(t, &file{path: dir})
	p.run(t, &file{path: dir + ":" + version})
	p.run(t, &file{path: dir + "@" + p.artifact.String()})
}

// TestCopiedByOthers pushes, lets oras and skopeo copy between repositories and image
// layouts, and runs every copy.
func TestCopiedByOthers(t *testing.T) {
	w := newWorld(t)
	for server, open := range registries() {
		t.Run(server, func(t *testing.T) {
			p := push(t, w, open)
			from := p.repository + ":" + version
			t.Run("oras", func(t *testing.T) { p.byOras(t, tool(t, "oras"), from) })
			t.Run("skopeo", func(t *testing.T) { p.bySkopeo(t, tool(t, "skopeo"), from) })
		})
	}
}

func (p *pushed) byOras(t *testing.T, oras func(...string) []byte, from string) {
	to := newRepository(p.host)
	oras("cp", "-r", "--from-plain-http", "--to-plain-http", from, to+":"+version)
	p.arrived(t, to, version, true)
	dir := filepath.Join(t.TempDir(), "layout")
	oras("cp", "-r", "--from-plain-http", "--to-oci-layout", from, dir+":"+version)
	p.arrivedIn(t, dir, true)
	back := newRepository(p.host)
	oras("cp", "-r", "--from-oci-layout", "--to-plain-http", dir+":"+version, back+":"+version)
	p.arrived(t, back, version, true)
	ours := p.ourLayout(t)
	oras("cp", "-r", "--from-oci-layout", "--to-plain-http", ours+":"+version, back+":ours")
	p.arrived(t, back, "ours", true)
}

func (p *pushed) bySkopeo(t *testing.T, skopeo func(...string) []byte, from string) {
	const plain, plainTo = "--src-tls-verify=false", "--dest-tls-verify=false"
	to := newRepository(p.host)
	skopeo("copy", "--preserve-digests", plain, plainTo, "docker://"+from, "docker://"+to+":"+version)
	p.arrived(t, to, version, false)
	dir := filepath.Join(t.TempDir(), "layout")
	skopeo("copy", "--preserve-digests", plain, "docker://"+from, "oci:"+dir+":"+version)
	p.arrivedIn(t, dir, false)
	back := newRepository(p.host)
	skopeo("copy", "--preserve-digests", plainTo, "oci:"+dir+":"+version, "docker://"+back+":"+version)
	p.arrived(t, back, version, false)
	skopeo("copy", "--preserve-digests", plainTo, "oci:"+p.ourLayout(t)+":"+version, "docker://"+back+":ours")
	p.arrived(t, back, "ours", false)
}

// ourLayout writes the package and its attestation to an image layout.
func (p *pushed) ourLayout(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ours")
	l := oci.OpenLayout(dir)
	artifact, err := pack.WriteArtifact(t.Context(), p.open(t), l, version)
	if err == nil {
		err = l.Attest(t.Context(), artifact, p.attestation)
	}
	if err != nil || artifact != p.artifact {
		t.Fatalf("artifact %v, %v; want %v", artifact, err, p.artifact)
	}
	p.arrivedIn(t, dir, true)
	return dir
}

// TestWasmLayer takes the module alone out of a registry with tools for wasm.
func TestWasmLayer(t *testing.T) {
	w := newWorld(t)
	id, module := moduleOf(t, w.open(t))
	for server, open := range registries() {
		t.Run(server, func(t *testing.T) {
			p := push(t, w, open)
			oras := tool(t, "oras")
			var image v1.Manifest
			if err := json.Unmarshal(oras("manifest", "fetch", "--plain-http", p.repository+":"+version), &image); err != nil {
				t.Fatal(err)
			}
			wasm := slices.DeleteFunc(slices.Clone(image.Layers), func(d v1.Descriptor) bool { return d.MediaType != oci.TypeWasm })
			if len(wasm) != 1 || string(wasm[0].Digest) != id.String() || wasm[0].Size != int64(len(module)) {
				t.Fatalf("layers of wasm: %v, want one, %s", wasm, id)
			}
			out := filepath.Join(t.TempDir(), "echo.wasm")
			oras("blob", "fetch", "--plain-http", "--output", out, p.repository+"@"+string(wasm[0].Digest))
			if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, module) {
				t.Errorf("%d bytes, %v; want the module's %d", len(got), err, len(module))
			}
		})
	}
}

// TestReferrers looks for the attestation in both places that the distribution spec
// has: the referrers API, or the tag sha256-HEX where a registry lacks it.
func TestReferrers(t *testing.T) {
	w := newWorld(t)
	for server, open := range registries() {
		t.Run(server, func(t *testing.T) {
			p := push(t, w, open)
			_, repository, _ := strings.Cut(p.repository, "/")
			base := "http://" + p.host + "/v2/" + repository
			status, raw := get(t, base+"/referrers/"+p.artifact.String())
			if server == "ours" && status != http.StatusOK {
				t.Errorf("our referrers API answers %d", status)
			}
			if status == http.StatusNotFound {
				status, raw = get(t, base+"/manifests/sha256-"+p.artifact.Hex())
			}
			var index v1.Index
			if err := json.Unmarshal(raw, &index); err != nil || status != http.StatusOK {
				t.Fatalf("status %d: %v", status, err)
			}
			if len(index.Manifests) != 1 || index.Manifests[0].ArtifactType != oci.TypeAttestation {
				t.Errorf("%s", raw)
			}
			out := string(tool(t, "oras")("discover", "--plain-http", "--format", "json", p.repository+":"+version))
			if !strings.Contains(out, oci.TypeAttestation) {
				t.Errorf("oras discovers %s", out)
			}
		})
	}
}

func get(t *testing.T, url string) (status int, body []byte) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Accept", v1.MediaTypeImageIndex)
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// TestPushedByOthers lets oras push nothing of ours, which is no package.
func TestPushedByOthers(t *testing.T) {
	for server, open := range registries() {
		t.Run(server, func(t *testing.T) {
			host := open(t)
			repository := newRepository(host)
			path := filepath.Join(t.TempDir(), "hello.txt")
			if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
				t.Fatal(err)
			}
			tool(t, "oras")("push", "--plain-http", "--disable-path-validation", repository+":x", path)
			r := inRepository(t, repository)
			if _, _, err := r.Resolve(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "artifactType") {
				t.Errorf("it passed for a package: %v", err)
			}
			if _, err := transfer.Pull(t.Context(), []transfer.Named{{Name: "x", Remote: r}}, openStore(t).(*stored).store, cid.Sum([]byte("hello")), transfer.Options{}); err == nil {
				t.Error("what is no manifest was pulled as a package")
			}
		})
	}
}
