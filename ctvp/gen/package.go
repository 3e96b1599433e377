package main

import (
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	keys "github.com/mythos-run/mythos/runtime/libs/sig"
)

// pkgGen makes vectors of packages.
type pkgGen struct {
	*suite
	publisher, second, stranger keys.Key
}

// packageSuite is the suite of manifests, paths, trees and archives.
func packageSuite(p *pack) {
	s := p.suite("package", "RFC-MYTHOS-0006", "Manifests and their signatures, paths, trees, and archives of which every byte is decided.")
	s.flag("tampered", "something that was changed after the signature")
	s.flag("signed-and-wrong", "a rule that a signed manifest breaks")
	s.flag("path-safety", "a path that is not safe, or not one file, on some system")
	s.flag("archive-bytes", "an archive that some tar or gzip program reads, and that no writer writes")
	g := &pkgGen{suite: s}
	for _, k := range []struct {
		name string
		to   *keys.Key
	}{{"publisher", &g.publisher}, {"publisher-2", &g.second}, {"stranger", &g.stranger}} {
		key := newSigner(k.name)
		p.key(key)
		*k.to = keys.NewKey([32]byte(key.seed), "")
	}
	g.paths()
	g.trees()
	g.verified()
	g.untrusted()
	g.tampered()
	g.hosts()
	g.rules()
	g.moduleRules()
	g.statements()
	g.archives()
	g.closures()
}

func pkgArtifact(kind uint8, content string) manifest.Artifact {
	sum := h(content)
	return manifest.Artifact{Kind: kind, CID: sum, MediaType: "application/octet-stream", Size: uint64(len(content)), SHA256: sum}
}

func pkgPtr[T any](v T) *T { return &v }

// sample is a manifest that uses every field but attestations.
func (g *pkgGen) sample() *manifest.Manifest {
	m := &manifest.Manifest{
		FormatVersion: 1, Name: "demo/one", Version: "1.2.3-rc.1+b",
		Requires: manifest.Requires{ExecutorMinVersion: "0.1.0", CodebookID: h("codebook")},
	}
	for content, kind := range map[string]uint8{
		"ir": manifest.KindIR, "wasm": manifest.KindModule, "elf": manifest.KindModule, "tree": manifest.KindTree,
		"policy": manifest.KindPolicy, "schema": manifest.KindSchema, "doc": manifest.KindDoc, "image": manifest.KindImage,
	} {
		m.Artifacts = append(m.Artifacts, pkgArtifact(kind, content))
	}
	slices.SortFunc(m.Artifacts, func(a, b manifest.Artifact) int { return a.CID.Compare(b.CID) })
	echo := manifest.Tool{
		Name: "demo/echo", Interface: 1, RequestTypeID: h("req"), ResponseTypeID: h("resp"),
		Description: pkgPtr(h("doc")), RequestSchema: pkgPtr(h("schema")),
	}
	limits := manifest.Limits{TimeoutMicros: 1e6, MemoryBytes: 1 << 26, Fuel: pkgPtr(uint64(1e9)), MaxRequestBytes: 1 << 20, MaxResponseBytes: 1 << 20, MaxStderrBytes: 1 << 16}
	other := limits
	other.Fuel = nil
	module := func(variant string, r manifest.ModuleRef) manifest.ModuleBinding {
		return manifest.ModuleBinding{ToolID: echo.ID(), Tool: echo, Variant: variant, Module: r}
	}
	m.Modules = []manifest.ModuleBinding{
		module("", manifest.ModuleRef{
			Kind: manifest.ModuleWasm, CID: h("wasm"), Entry: []string{"_start"}, Limits: limits, ABI: manifest.ABIHostcall,
			CapsRequired: []manifest.CapRequirement{{Kind: 35}, {Kind: 36}, {Kind: 36, Scope: []byte{8, 0}}},
		}),
		module("image", manifest.ModuleRef{Kind: manifest.ModuleOCI, CID: h("image"), Entry: []string{"/bin/echo"}, Limits: other, ABI: manifest.ABIStdio, Platform: "linux/amd64"}),
		module("native", manifest.ModuleRef{Kind: manifest.ModuleNative, CID: h("elf"), Entry: []string{"echo"}, Limits: other, ABI: manifest.ABIStdio, Platform: "linux/amd64"}),
		module("native", manifest.ModuleRef{Kind: manifest.ModuleNative, CID: h("elf"), Entry: []string{"echo"}, Limits: other, ABI: manifest.ABIStdio, Platform: "linux/arm64"}),
		module("node", manifest.ModuleRef{
			Kind: manifest.ModuleProcess, CID: h("tree"), Entry: []string{"main.js"}, Limits: other, ABI: manifest.ABIStdio, Reuse: true,
			Runtime: &manifest.Runtime{Name: "node", Version: ">=20 <25.1"},
		}),
	}
	m.Entrypoints = []manifest.Entrypoint{{Name: "a", Bundle: h("ir"), TaskID: h("t")}, {Name: "main", Bundle: h("ir"), TaskID: h("t"), Doc: "says hello"}}
	m.Policies = []cid.Hash{h("policy")}
	return m
}

// signed sets the package_id and signs, whatever the rules say. Signatures ascend
// by key id.
func (g *pkgGen) signed(m *manifest.Manifest, by ...keys.Key) *manifest.Manifest {
	m.Signatures = nil
	id, err := cid.Without(m.AppendCAN(nil), 1, 11, 12)
	if err != nil {
		g.p.fail("a manifest: %w", err)
	}
	m.PackageID = id
	for _, k := range by {
		s := keys.Signature{Alg: keys.Ed25519, KeyID: pkgPtr(k.Agent().KeyID())}
		if s.SigBytes, err = k.Sign(id); err != nil {
			g.p.fail("a manifest: %w", err)
		}
		m.Signatures = append(m.Signatures, s)
	}
	slices.SortFunc(m.Signatures, func(a, b keys.Signature) int { return a.KeyID.Compare(*b.KeyID) })
	return m
}

// publisherOf is an entry of a trust file.
func pkgPublisher(threshold int, names []string, by ...keys.Key) in {
	agents := []any{}
	for _, k := range by {
		agents = append(agents, capAgent(k))
	}
	return in{"keys": agents, "threshold": threshold, "names": names}
}

func pkgEverything() []string { return []string{"**"} }

// open is manifest.open's input: one publisher, who may sign everything, and an
// executor that has what the sample asks for.
func (g *pkgGen) open(raw []byte) in {
	return in{
		"hex": raw, "publishers": []any{pkgPublisher(1, pkgEverything(), g.publisher)},
		"host": in{"version": "0.2.0", "codebooks": []any{h("codebook")}, "features": []any{"ir.level1"}, "ctvps": []any{h("pack")}},
	}
}

// opened is the output for a manifest that known keys have signed.
func pkgOpened(m *manifest.Manifest, by ...keys.Key) out {
	ids := []cid.Hash{}
	for _, k := range by {
		ids = append(ids, k.Agent().KeyID())
	}
	slices.SortFunc(ids, cid.Hash.Compare)
	return out{"package_id": m.PackageID, "manifest_cid": cid.Sum(m.AppendCAN(nil)), "signers": ids}
}

// refuse is a manifest that does not open.
func (g *pkgGen) refuse(what, doc string, i in, code string, flags ...string) {
	g.invalid(what, "manifest.open", doc, i, code, flags...)
}

// verified are manifests that open.
func (g *pkgGen) verified() {
	g.spec = "RFC-MYTHOS-0006 §2"
	yes := func(doc string, m *manifest.Manifest, edit func(in), by ...keys.Key) {
		i := g.open(m.AppendCAN(nil))
		if edit != nil {
			edit(i)
		}
		g.valid("manifest", "manifest.open", doc, i, pkgOpened(m, by...))
	}
	a, b := g.publisher, g.second
	both := []any{pkgPublisher(2, pkgEverything(), a, b)}
	yes("one signature, by a publisher", g.signed(g.sample(), a), nil, a)
	yes("two signatures, of which two are asked for", g.signed(g.sample(), a, b), func(i in) { i["publishers"] = both }, a, b)
	yes("two signatures, one by a stranger", g.signed(g.sample(), a, g.stranger), nil, a)
	broken := g.signed(g.sample(), a, g.stranger)
	for i := range broken.Signatures {
		if *broken.Signatures[i].KeyID == g.stranger.Agent().KeyID() {
			broken.Signatures[i].SigBytes[7] ^= 1
		}
	}
	yes("the signature by a stranger does not verify, which nobody asks", broken, nil, a)
	yes("a publisher who may sign demo/*", g.signed(g.sample(), a), func(i in) { i["publishers"] = []any{pkgPublisher(1, []string{"other", "demo/*"}, a)} }, a)
	edited := func(doc string, change func(*manifest.Manifest)) {
		m := g.sample()
		change(m)
		yes(doc, g.signed(m, a), nil, a)
	}
	edited("without modules", func(m *manifest.Manifest) { m.Modules = nil })
	edited("the longest name", func(m *manifest.Manifest) { m.Name = strings.Repeat("a", 128) })
	edited("the longest version", func(m *manifest.Manifest) { m.Version = "1.0.0-" + strings.Repeat("a", 122) })
	edited("an artifact of 4 MiB is flat", func(m *manifest.Manifest) { m.Artifacts[0].Size = 4 << 20 })
	edited("a byte more is chunked", func(m *manifest.Manifest) { m.Artifacts[0].Size, m.Artifacts[0].SHA256 = 4<<20+1, h("flat") })
	edited("a feature that the executor has", func(m *manifest.Manifest) { m.Requires.Features = []string{"ir.level1"} })
	edited("a conformance pack that it passed", func(m *manifest.Manifest) { m.Requires.CTVPID = pkgPtr(h("pack")) })
	edited("this very executor", func(m *manifest.Manifest) { m.Requires.ExecutorMinVersion = "0.2.0" })
	edited("a pre-release of this executor is enough", func(m *manifest.Manifest) { m.Requires.ExecutorMinVersion = "0.2.0-rc.1" })
	edited("variants with another timeout", func(m *manifest.Manifest) { m.Modules[4].Module.Limits.TimeoutMicros++ })
	edited("an image for every platform", func(m *manifest.Manifest) { m.Modules[1].Module.Platform = "" })
}

// untrusted are manifests whose signatures do not suffice.
func (g *pkgGen) untrusted() {
	g.spec = "RFC-MYTHOS-0006 §9"
	a, b := g.publisher, g.second
	no := func(what, doc, code string, m *manifest.Manifest, publishers ...any) {
		i := g.open(m.AppendCAN(nil))
		if publishers != nil {
			i["publishers"] = publishers
		}
		g.refuse(what, doc, i, code)
	}
	breakAt := func(n int, by ...keys.Key) *manifest.Manifest {
		m := g.signed(g.sample(), by...)
		m.Signatures[n].SigBytes[7] ^= 1
		return m
	}
	one := pkgPublisher(1, pkgEverything(), a)
	no("unsigned", "no signature", "unsigned", g.signed(g.sample()))
	no("unsigned", "no signature, and nobody is trusted", "unsigned", g.signed(g.sample()), []any{}...)
	no("signer", "a stranger", "signer_unknown", g.signed(g.sample(), g.stranger))
	no("signer", "a stranger whose signature does not verify", "signer_unknown", breakAt(0, g.stranger))
	nobody := g.open(g.signed(g.sample(), a).AppendCAN(nil))
	nobody["publishers"] = []any{}
	g.refuse("signer", "nobody is trusted", nobody, "signer_unknown")
	no("signature", "a bit of the signature", "signature_invalid", breakAt(0, a))
	no("signature", "a bit of the first of two, though the second suffices", "signature_invalid", breakAt(0, a, b), one, pkgPublisher(1, pkgEverything(), b))
	no("signature", "a bit of the second of two, though the first suffices", "signature_invalid", breakAt(1, a, b), one, pkgPublisher(1, pkgEverything(), b))
	alg := g.signed(g.sample(), a)
	alg.Signatures[0].Alg = 2
	no("signature", "another algorithm", "signature_invalid", alg)
	swapped := g.signed(g.sample(), g.stranger)
	swapped.Signatures[0].KeyID = pkgPtr(a.Agent().KeyID())
	no("signature", "a stranger's signature under the publisher's key_id", "signature_invalid", swapped)
	no("threshold", "one of two", "signer_threshold", g.signed(g.sample(), a), pkgPublisher(2, pkgEverything(), a, b))
	no("threshold", "one key of each of two publishers who ask for two: they never add up", "signer_threshold", g.signed(g.sample(), a, b),
		pkgPublisher(2, pkgEverything(), a, g.stranger), pkgPublisher(2, pkgEverything(), b, g.stranger))
	no("threshold", "a publisher who may sign other names", "signer_threshold", g.signed(g.sample(), a), pkgPublisher(1, []string{"demo", "demo/two", "*"}, a))
	missing := g.signed(g.sample(), a)
	missing.Signatures[0].KeyID = nil
	no("key-id", "a signature without a key_id", "key_id", missing)
	turned := g.signed(g.sample(), a, b)
	slices.Reverse(turned.Signatures)
	no("signature-order", "two signatures, the higher key_id first", "package_order", turned)
	twice := g.signed(g.sample(), a)
	twice.Signatures = append(twice.Signatures, twice.Signatures[0])
	no("signature-order", "one signature twice", "package_order", twice, pkgPublisher(2, pkgEverything(), a, b))
}
