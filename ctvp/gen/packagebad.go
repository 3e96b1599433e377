package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	keys "github.com/mythos-run/mythos/runtime/libs/sig"
)

// tampered are manifests of which a field was changed after the signature.
func (g *pkgGen) tampered() {
	g.spec = "RFC-MYTHOS-0006 §9"
	for _, c := range []struct {
		doc    string
		change func(*manifest.Manifest)
	}{
		{"the name", func(m *manifest.Manifest) { m.Name = "demo/two" }},
		{"the version", func(m *manifest.Manifest) { m.Version = "1.2.4" }},
		{"the format", func(m *manifest.Manifest) { m.FormatVersion = 2 }},
		{"what it requires", func(m *manifest.Manifest) { m.Requires.ExecutorMinVersion = "0.0.1" }},
		{"an artifact's media type", func(m *manifest.Manifest) { m.Artifacts[0].MediaType = "text/html" }},
		{"a module's limit", func(m *manifest.Manifest) { m.Modules[0].Module.Limits.MaxIOCalls++ }},
		{"an entry point's task", func(m *manifest.Manifest) { m.Entrypoints[0].TaskID = h("other") }},
		{"the policies", func(m *manifest.Manifest) { m.Policies = nil }},
		{"a module more", func(m *manifest.Manifest) { m.Modules = append(m.Modules, m.Modules[4]) }},
		{"the package_id itself", func(m *manifest.Manifest) { m.PackageID[31] ^= 1 }},
	} {
		m := g.signed(g.sample(), g.publisher)
		c.change(m)
		g.refuse("tampered", "changed after signing: "+c.doc, g.open(m.AppendCAN(nil)), "id_mismatch", "tampered")
	}
	moved := g.signed(g.sample(), g.publisher)
	other := g.sample()
	other.Name = "demo/two"
	g.signed(other, g.publisher)
	moved.Signatures = other.Signatures
	g.refuse("transplanted", "the publisher's signature of another package", g.open(moved.AppendCAN(nil)), "signature_invalid", "tampered")
	raw := g.signed(g.sample(), g.publisher).AppendCAN(nil)
	form := func(doc string, b []byte, code string) { g.refuse("form", doc, g.open(b), code) }
	form("nothing", nil, "can_truncated")
	form("a byte behind", join(raw, x("00")), "can_trailing")
	form("cut in the middle", raw[:len(raw)/2], "can_bounds")
	form("a LIST", x("0700"), "can_type")
	form("another schema", slices.Replace(slices.Clone(raw), strings.Index(string(raw), "mythos.package"), strings.Index(string(raw), "mythos.package")+14, []byte("mythos.packagE")...), "schema_mismatch")
	unknown := join(raw, x("03 7f 00"))
	unknown[1]++
	form("a field that no version knows", unknown, "can_unknown_field")
}

// hosts are packages for another executor.
func (g *pkgGen) hosts() {
	for _, c := range []struct {
		what, doc, code string
		change          func(*manifest.Manifest)
	}{
		{"format", "format 2", "package_format", func(m *manifest.Manifest) { m.FormatVersion = 2 }},
		{"format", "format 0", "package_format", func(m *manifest.Manifest) { m.FormatVersion = 0 }},
		{"format", "format 2, before anything else that is wrong", "package_format", func(m *manifest.Manifest) { m.FormatVersion, m.Name = 2, "" }},
		{"executor", "a patch later than this one", "executor_too_old", func(m *manifest.Manifest) { m.Requires.ExecutorMinVersion = "0.2.1" }},
		{"executor", "version 0.10.0, which a comparison of texts takes for earlier", "executor_too_old", func(m *manifest.Manifest) { m.Requires.ExecutorMinVersion = "0.10.0" }},
		{"executor", "a version beyond 64 bits", "executor_too_old", func(m *manifest.Manifest) { m.Requires.ExecutorMinVersion = "99999999999999999999.0.0" }},
		{"executor-version", "no version", "package_version", func(m *manifest.Manifest) { m.Requires.ExecutorMinVersion = "" }},
		{"executor-version", "two numbers", "package_version", func(m *manifest.Manifest) { m.Requires.ExecutorMinVersion = "0.1" }},
		{"executor-version", "build metadata", "package_version", func(m *manifest.Manifest) { m.Requires.ExecutorMinVersion = "0.1.0+a" }},
		{"executor-version", "a v before it", "package_version", func(m *manifest.Manifest) { m.Requires.ExecutorMinVersion = "v0.1.0" }},
		{"codebook", "another codebook", "codebook_mismatch", func(m *manifest.Manifest) { m.Requires.CodebookID = h("other") }},
		{"feature", "a feature that the executor lacks", "feature_missing", func(m *manifest.Manifest) { m.Requires.Features = []string{"ir.level1", "zstd"} }},
		{"ctvp", "a conformance pack that it has not passed", "ctvp_unknown", func(m *manifest.Manifest) { m.Requires.CTVPID = pkgPtr(h("other")) }},
		{"precedence", "a later executor and another codebook", "executor_too_old", func(m *manifest.Manifest) {
			m.Requires.ExecutorMinVersion, m.Requires.CodebookID = "1.0.0", h("other")
		}},
		{"precedence", "another codebook and a missing feature", "codebook_mismatch", func(m *manifest.Manifest) {
			m.Requires.CodebookID, m.Requires.Features = h("other"), []string{"x"}
		}},
		{"precedence", "a missing feature and a bad name", "feature_missing", func(m *manifest.Manifest) {
			m.Requires.Features, m.Name = []string{"x"}, "X"
		}},
	} {
		m := g.sample()
		c.change(m)
		g.refuse(c.what, c.doc, g.open(g.signed(m, g.publisher).AppendCAN(nil)), c.code)
	}
}

// pkgRule is a rule that a signed manifest breaks.
type pkgRule struct {
	what, doc, code string
	change          func(*manifest.Manifest)
}

func (g *pkgGen) breaks(list []pkgRule) {
	for _, c := range list {
		m := g.sample()
		c.change(m)
		g.refuse(c.what, c.doc, g.open(g.signed(m, g.publisher).AppendCAN(nil)), c.code, "signed-and-wrong")
	}
}

// rules are those of name, version, features, artifacts, entry points and
// policies.
func (g *pkgGen) rules() {
	name := func(doc, s string) pkgRule {
		return pkgRule{"name", doc, "package_name", func(m *manifest.Manifest) { m.Name = s }}
	}
	version := func(doc, s string) pkgRule {
		return pkgRule{"version", doc, "package_version", func(m *manifest.Manifest) { m.Version = s }}
	}
	artifact := func(what, doc, code string, change func(*manifest.Artifact)) pkgRule {
		return pkgRule{what, doc, code, func(m *manifest.Manifest) { change(&m.Artifacts[0]) }}
	}
	entry := func(what, doc, code string, change func(*manifest.Entrypoint)) pkgRule {
		return pkgRule{what, doc, code, func(m *manifest.Manifest) { change(&m.Entrypoints[1]) }}
	}
	g.breaks([]pkgRule{
		name("an empty name", ""), name("an upper-case name", "Demo"), name("a slash at its end", "demo/"), name("a way up", "demo/../x"),
		name("129 bytes", strings.Repeat("a", 129)), name("two separators", "demo--one"), name("a letter beyond ASCII", "d\u00e9mo"),
		version("two numbers", "1.0"), version("a leading zero", "1.02.0"), version("129 bytes", "1.0.0-"+strings.Repeat("a", 123)),
		version("a pre-release number with a leading zero", "1.0.0-01"), version("an empty build", "1.0.0+"), version("a v", "v1.0.0"),
		{"order", "features that fall", "package_order", func(m *manifest.Manifest) { m.Requires.Features = []string{"ir.level1", "ir.level1"} }},
		{"order", "artifacts in another order", "package_order", func(m *manifest.Manifest) { slices.Reverse(m.Artifacts) }},
		{"order", "an artifact twice", "package_order", func(m *manifest.Manifest) { m.Artifacts[1] = m.Artifacts[0] }},
		{"order", "modules in another order", "package_order", func(m *manifest.Manifest) { m.Modules[0], m.Modules[1] = m.Modules[1], m.Modules[0] }},
		{"order", "platforms in another order", "package_order", func(m *manifest.Manifest) { m.Modules[2], m.Modules[3] = m.Modules[3], m.Modules[2] }},
		{"order", "a module twice", "package_order", func(m *manifest.Manifest) { m.Modules[3] = m.Modules[2] }},
		{"order", "entry points in another order", "package_order", func(m *manifest.Manifest) { slices.Reverse(m.Entrypoints) }},
		{"order", "two entry points of one name", "package_order", func(m *manifest.Manifest) { m.Entrypoints[1].Name = "a" }},
		{"order", "a policy twice", "package_order", func(m *manifest.Manifest) { m.Policies = append(m.Policies, m.Policies[0]) }},
		artifact("artifact", "kind 0", "artifact_invalid", func(a *manifest.Artifact) { a.Kind = 0 }),
		artifact("artifact", "kind 11", "artifact_invalid", func(a *manifest.Artifact) { a.Kind = 11 }),
		artifact("artifact", "no media type", "artifact_invalid", func(a *manifest.Artifact) { a.MediaType = "" }),
		artifact("artifact", "a media type that colours a terminal", "artifact_invalid", func(a *manifest.Artifact) { a.MediaType = "a\x1b[2J" }),
		artifact("artifact", "a media type of 256 bytes", "artifact_invalid", func(a *manifest.Artifact) { a.MediaType = strings.Repeat("a", 256) }),
		artifact("artifact-hash", "a small artifact whose cid is not its SHA-256", "artifact_hash", func(a *manifest.Artifact) { a.SHA256[0] ^= 1 }),
		artifact("artifact-hash", "an artifact of 4 MiB and a byte whose cid is its SHA-256", "artifact_hash", func(a *manifest.Artifact) { a.Size = 4<<20 + 1 }),
		artifact("limit", "an artifact of 8 GiB", "package_limit", func(a *manifest.Artifact) { a.Size, a.SHA256 = 8_589_934_592, h("x") }),
		{"limit", "no entry point", "package_limit", func(m *manifest.Manifest) { m.Entrypoints = nil }},
		entry("entrypoint", "a space in its name", "entrypoint_invalid", func(e *manifest.Entrypoint) { e.Name = "ma in" }),
		entry("entrypoint", "a slash in its name", "entrypoint_invalid", func(e *manifest.Entrypoint) { e.Name = "ma/in" }),
		entry("entrypoint", "a doc of 4,097 bytes", "entrypoint_invalid", func(e *manifest.Entrypoint) { e.Doc = strings.Repeat("a", 4097) }),
		entry("reference", "an entry point on no artifact", "package_reference", func(e *manifest.Entrypoint) { e.Bundle = h("nothing") }),
		entry("reference", "an entry point on a module", "package_reference", func(e *manifest.Entrypoint) { e.Bundle = h("wasm") }),
		{"reference", "a policy that is a doc", "package_reference", func(m *manifest.Manifest) { m.Policies[0] = h("doc") }},
		{"reference", "a policy that is nothing", "package_reference", func(m *manifest.Manifest) { m.Policies[0] = h("nothing") }},
	})
}

// moduleRules are those of tools, modules and limits.
func (g *pkgGen) moduleRules() {
	g.spec = "RFC-MYTHOS-0006 §4"
	tool := func(what, doc, code string, change func(*manifest.Tool)) pkgRule {
		return pkgRule{what, doc, code, func(m *manifest.Manifest) {
			for i := range m.Modules {
				change(&m.Modules[i].Tool)
				m.Modules[i].ToolID = m.Modules[i].Tool.ID()
			}
		}}
	}
	at := func(what, doc, code string, n int, change func(*manifest.ModuleRef)) pkgRule {
		return pkgRule{what, doc, code, func(m *manifest.Manifest) { change(&m.Modules[n].Module) }}
	}
	wasm := func(what, doc string, change func(*manifest.ModuleRef)) pkgRule {
		return at("module-"+what, doc, "module_ref_invalid", 0, change)
	}
	node := func(what, doc string, change func(*manifest.ModuleRef)) pkgRule {
		return at("module-"+what, doc, "module_ref_invalid", 4, change)
	}
	limit := func(doc string, change func(*manifest.Limits)) pkgRule {
		return at("limits", doc, "module_limits_invalid", 0, func(r *manifest.ModuleRef) { change(&r.Limits) })
	}
	variant := func(doc string, change func(*manifest.ModuleRef)) pkgRule {
		return at("variant", doc, "package_variant_mismatch", 4, change)
	}
	g.breaks([]pkgRule{
		tool("tool", "an upper-case name", "tool_invalid", func(t *manifest.Tool) { t.Name = "Echo" }),
		tool("tool", "a name of the executor's own", "tool_invalid", func(t *manifest.Tool) { t.Name = "mythos/echo" }),
		tool("reference", "a description that is a schema", "package_reference", func(t *manifest.Tool) { t.Description = pkgPtr(h("schema")) }),
		tool("reference", "a response schema that is nothing", "package_reference", func(t *manifest.Tool) { t.ResponseSchema = pkgPtr(h("nothing")) }),
		{"tool-id", "another interface under the old tool_id", "id_mismatch", func(m *manifest.Manifest) { m.Modules[0].Tool.Interface = 2 }},
		at("reference", "a module that is nothing", "package_reference", 0, func(r *manifest.ModuleRef) { r.CID = h("nothing") }),
		at("reference", "a module that is a tree", "package_reference", 0, func(r *manifest.ModuleRef) { r.CID = h("tree") }),
		at("reference", "a process that is one file", "package_reference", 4, func(r *manifest.ModuleRef) { r.CID = h("wasm") }),
		{"variant", "another description", "package_variant_mismatch", func(m *manifest.Manifest) { m.Modules[4].Tool.Description = nil }},
		variant("another retry class", func(r *manifest.ModuleRef) { r.Retry = manifest.RetryPure }),
		variant("another max_request_bytes", func(r *manifest.ModuleRef) { r.Limits.MaxRequestBytes++ }),
		variant("another max_response_bytes", func(r *manifest.ModuleRef) { r.Limits.MaxResponseBytes++ }),
		{"module-kind", "a variant's name with a slash", "module_ref_invalid", func(m *manifest.Manifest) { m.Modules[4].Variant = "no/de" }},
		wasm("kind", "kind 0", func(r *manifest.ModuleRef) { r.Kind = 0 }),
		wasm("kind", "kind 5", func(r *manifest.ModuleRef) { r.Kind = 5 }),
		wasm("kind", "abi 0", func(r *manifest.ModuleRef) { r.ABI = 0 }),
		wasm("kind", "abi 3", func(r *manifest.ModuleRef) { r.ABI = 3 }),
		node("kind", "a process with host calls", func(r *manifest.ModuleRef) { r.ABI = manifest.ABIHostcall }),
		wasm("kind", "reuse of a wasm instance", func(r *manifest.ModuleRef) { r.Reuse = true }),
		wasm("entry", "no entry", func(r *manifest.ModuleRef) { r.Entry = nil }),
		wasm("entry", "two exports", func(r *manifest.ModuleRef) { r.Entry = []string{"a", "b"} }),
		node("entry", "an empty word", func(r *manifest.ModuleRef) { r.Entry = []string{"main.js", ""} }),
		node("entry", "a NUL", func(r *manifest.ModuleRef) { r.Entry = []string{"main.js\x00"} }),
		node("entry", "a word of 4,097 bytes", func(r *manifest.ModuleRef) { r.Entry = []string{strings.Repeat("a", 4097)} }),
		node("entry", "65 words", func(r *manifest.ModuleRef) { r.Entry = slices.Repeat([]string{"a"}, 65) }),
		wasm("retry", "class 4", func(r *manifest.ModuleRef) { r.Retry = 4 }),
		wasm("retry", "reconcile without a probe", func(r *manifest.ModuleRef) { r.Retry = manifest.RetryReconcile }),
		wasm("retry", "a probe without reconcile", func(r *manifest.ModuleRef) { r.Probe = []string{"probe"} }),
		wasm("caps", "in another order", func(r *manifest.ModuleRef) { slices.Reverse(r.CapsRequired) }),
		wasm("caps", "one twice", func(r *manifest.ModuleRef) { r.CapsRequired[1] = r.CapsRequired[0] }),
		wasm("caps", "a scope that is no canonical value", func(r *manifest.ModuleRef) { r.CapsRequired[2].Scope = []byte{8, 1} }),
		wasm("caps", "65 of them", func(r *manifest.ModuleRef) {
			r.CapsRequired = nil
			for i := range 65 {
				r.CapsRequired = append(r.CapsRequired, manifest.CapRequirement{Kind: uint8(i)})
			}
		}),
		wasm("runtime", "wasm on node", func(r *manifest.ModuleRef) { r.Runtime = &manifest.Runtime{Name: "node", Version: ">=20"} }),
		node("runtime", "a process on nothing", func(r *manifest.ModuleRef) { r.Runtime = nil }),
		node("runtime", "a process on bash", func(r *manifest.ModuleRef) { r.Runtime.Name = "bash" }),
		node("runtime", "version latest", func(r *manifest.ModuleRef) { r.Runtime.Version = "latest" }),
		node("runtime", "two spaces", func(r *manifest.ModuleRef) { r.Runtime.Version = ">=20  <25" }),
		node("runtime", "four numbers", func(r *manifest.ModuleRef) { r.Runtime.Version = ">=1.2.3.4" }),
		node("runtime", "two equals signs", func(r *manifest.ModuleRef) { r.Runtime.Version = "==3" }),
		wasm("platform", "of wasm", func(r *manifest.ModuleRef) { r.Platform = "linux/amd64" }),
		node("platform", "of a process", func(r *manifest.ModuleRef) { r.Platform = "linux/amd64" }),
		at("module-platform", "none of a native module", "module_ref_invalid", 2, func(r *manifest.ModuleRef) { r.Platform = "" }),
		at("module-platform", "without an architecture", "module_ref_invalid", 2, func(r *manifest.ModuleRef) { r.Platform = "linux" }),
		at("module-platform", "in upper case", "module_ref_invalid", 2, func(r *manifest.ModuleRef) { r.Platform = "Linux/amd64" }),
		limit("no time", func(l *manifest.Limits) { l.TimeoutMicros = 999 }),
		limit("more than an hour", func(l *manifest.Limits) { l.TimeoutMicros = 3_600_000_001 }),
		limit("a page less a byte of memory", func(l *manifest.Limits) { l.MemoryBytes = 65535 }),
		limit("more memory than there are addresses", func(l *manifest.Limits) { l.MemoryBytes = 1 << 32 }),
		limit("wasm without fuel", func(l *manifest.Limits) { l.Fuel = nil }),
		limit("no fuel", func(l *manifest.Limits) { l.Fuel = pkgPtr(uint64(0)) }),
		limit("fuel beyond 63 bits", func(l *manifest.Limits) { l.Fuel = pkgPtr(uint64(1 << 63)) }),
		limit("requests of 255 bytes", func(l *manifest.Limits) { l.MaxRequestBytes = 255 }),
		limit("responses of 16 MiB and a byte", func(l *manifest.Limits) { l.MaxResponseBytes = 16<<20 + 1 }),
		limit("1,000,001 calls of the host", func(l *manifest.Limits) { l.MaxIOCalls = 1_000_001 }),
		at("limits-process", "fuel of a process", "module_limits_invalid", 4, func(r *manifest.ModuleRef) { r.Limits.Fuel = pkgPtr(uint64(1)) }),
	})
}

// statements are signatures beyond their number, and attestations.
func (g *pkgGen) statements() {
	g.spec = "RFC-MYTHOS-0006 §9"
	attested := func(change func(m *manifest.Manifest, a *receipt.Attestation)) *manifest.Manifest {
		m := g.signed(g.sample(), g.publisher)
		a := receipt.Attestation{SubjectHash: m.PackageID, ClaimType: 1, Result: 1, TimeObserved: 5}
		if _, _, err := keys.Sign(&a, g.second); err != nil {
			g.p.fail("an attestation: %w", err)
		}
		change(m, &a)
		m.Attestations = append(m.Attestations, a)
		return m
	}
	var crowd []keys.Key
	for i := range 64 {
		crowd = append(crowd, keys.NewKey([32]byte(digest(fmt.Sprintf("TEST-ONLY crowd %d", i))), ""))
	}
	full := g.signed(g.sample(), append(crowd[:63:63], g.publisher)...)
	g.valid("signatures-64", "manifest.open", "64 signatures, one of which counts", g.open(full.AppendCAN(nil)), pkgOpened(full, g.publisher))
	g.refuse("limit", "65 signatures", g.open(g.signed(g.sample(), append(crowd, g.publisher)...).AppendCAN(nil)), "package_limit", "signed-and-wrong")
	good := attested(func(*manifest.Manifest, *receipt.Attestation) {})
	g.valid("attestation", "manifest.open", "one attestation, about this package", g.open(good.AppendCAN(nil)), pkgOpened(good, g.publisher))
	for _, c := range []struct {
		what, doc, code string
		change          func(m *manifest.Manifest, a *receipt.Attestation)
	}{
		{"attestation", "about another package", "attestation_invalid", func(_ *manifest.Manifest, a *receipt.Attestation) {
			a.SubjectHash[0] ^= 1
			if _, _, err := keys.Sign(a, g.second); err != nil {
				g.p.fail("an attestation: %w", err)
			}
		}},
		{"attestation", "its result was changed", "attestation_invalid", func(_ *manifest.Manifest, a *receipt.Attestation) { a.Result = 2 }},
		{"attestation", "a bit of its signature", "attestation_invalid", func(_ *manifest.Manifest, a *receipt.Attestation) { a.Signature.SigBytes[0] ^= 1 }},
		{"attestation", "a bit of its id", "attestation_invalid", func(_ *manifest.Manifest, a *receipt.Attestation) { a.AttestationID[0] ^= 1 }},
		{"order", "one attestation twice", "package_order", func(m *manifest.Manifest, a *receipt.Attestation) {
			m.Attestations = append(m.Attestations, *a)
		}},
	} {
		g.refuse(c.what, c.doc, g.open(attested(c.change).AppendCAN(nil)), c.code)
	}
}

// paths are paths of one tree.
func (g *pkgGen) paths() {
	g.spec = "RFC-MYTHOS-0006 §5"
	yes := func(doc string, paths ...string) {
		g.valid("path", "path.check", doc, in{"paths": paths}, out{}, "path-safety")
	}
	no := func(what, doc, code string, paths ...string) {
		g.invalid(what, "path.check", doc, in{"paths": paths}, code, "path-safety")
	}
	yes("one file", "a")
	yes("a folder of two", "a/b", "a/c")
	yes("every character", "._@+~=,()[]!$- x", "AZaz09")
	yes("1,024 bytes in segments of 255", strings.Repeat(strings.Repeat("a", 255)+"/", 3)+strings.Repeat("b", 254)+"/c")
	yes("neighbours of devices", "com", "com10", "lpt", "conx.txt", "xnul", "auxx")
	yes("files whose names begin alike", "a", "a.b", "a-b/c", "ab")
	yes("a file that is hidden", ".profile")
	bad := func(what, doc string, paths ...string) {
		for _, p := range paths {
			no(what, fmt.Sprintf("%s: %.60q", doc, p), "path_invalid", p)
		}
	}
	bad("traversal", "a way up", "..", "../a", "a/../b", "a/..", "./a", "a/.")
	bad("absolute", "not relative", "/", "/etc/passwd", "//server/share", "a/", "a//b")
	bad("windows", "a way out on Windows", `..\a`, `a\b`, "C:a", "C:/a", "a:stream", "a?", `"a"`, "a|b", "a*", "<a>")
	bad("device", "a Windows device", "con", "NUL", "nul.txt", "a/Aux", "prn.tar.gz", "com1", "LPT9.log", "com0", "conin$", "aux .txt")
	bad("trailing", "an end that Windows cuts off", "a.", "a ", "a/b./c", "a../b", "a. ")
	bad("character", "a character beyond the list", "a\x00b", "a\nb", "a\tb", "\u00e9", "e\u0301", "a\u202eb", "a%b", "a&b", "a'b", "a\x7f")
	bad("length", "too long or empty", "", strings.Repeat("a", 256), strings.Repeat("a/", 512)+"b")
	no("collision", "one path twice", "path_collision", "a", "a")
	no("collision", "equal but for case", "path_collision", "readme", "README")
	no("collision", "folders equal but for case, one file", "path_collision", "a/x", "A/x")
	no("collision", "a file and its folder", "path_collision", "a", "a/b")
	no("collision", "a file and its folder, with others between", "path_collision", "a", "a-b", "a.b", "a/b")
	no("collision", "a file and its folder, but for case", "path_collision", "A", "a/b")
	no("collision", "three of which two collide", "path_collision", "x", "b", "X")
}

// trees are lists of files.
func (g *pkgGen) trees() {
	entry := func(path string) manifest.TreeEntry {
		return manifest.TreeEntry{Path: path, CID: h(path), Size: uint64(len(path)), SHA256: h(path)}
	}
	of := func(list ...manifest.TreeEntry) []byte {
		t := manifest.Tree{Entries: list}
		return t.AppendCAN(nil)
	}
	run := entry("bin/run")
	run.Mode = 1
	g.valid("tree", "tree.open", "two files, one of which can be run", in{"hex": of(run, entry("main.js"))}, out{"paths": []any{"bin/run", "main.js"}})
	large := entry("large")
	large.Size, large.SHA256 = 4<<20+1, h("flat")
	g.valid("tree", "tree.open", "a chunked file", in{"hex": of(large)}, out{"paths": []any{"large"}})
	no := func(what, doc, code string, raw []byte) { g.invalid(what, "tree.open", doc, in{"hex": raw}, code) }
	edited := func(change func(*manifest.TreeEntry)) []byte {
		e := entry("main.js")
		change(&e)
		return of(e)
	}
	no("tree", "no file", "tree_invalid", of())
	no("tree", "files that fall", "tree_invalid", of(entry("b"), entry("a")))
	no("tree", "mode 2", "tree_invalid", edited(func(e *manifest.TreeEntry) { e.Mode = 2 }))
	no("tree", "4 GiB and a byte in one file", "tree_invalid", edited(func(e *manifest.TreeEntry) { e.Size, e.SHA256 = 4<<30+1, h("flat") }))
	half := func(path string, size uint64) manifest.TreeEntry {
		return manifest.TreeEntry{Path: path, CID: h(path), Size: size, SHA256: h("flat")}
	}
	no("tree", "4 GiB and a byte in two files", "tree_invalid", of(half("a", 2<<30), half("b", 2<<30+1)))
	no("tree", "sizes whose sum is beyond 64 bits", "tree_invalid", of(half("a", 4<<30), half("b", 1<<64-4<<30)))
	no("tree-hash", "a small file whose cid is not its SHA-256", "artifact_hash", edited(func(e *manifest.TreeEntry) { e.SHA256 = h("x") }))
	no("tree-hash", "a large file whose cid is its SHA-256", "artifact_hash", edited(func(e *manifest.TreeEntry) { e.Size = 4<<20 + 1 }))
	no("tree-path", "a way up", "path_invalid", of(entry("../a")))
	no("tree-path", "a file twice", "path_collision", of(entry("a"), entry("a")))
	no("tree-path", "equal but for case", "path_collision", of(entry("A"), entry("a")))
	no("tree-path", "a file and its folder", "path_collision", of(entry("a"), entry("a-b"), entry("a/b")))
	no("tree-form", "mode 256", "can_range", pkgWideMode(of(entry("a"))))
	no("tree-form", "a byte behind", "can_trailing", join(of(entry("a")), x("00")))
	no("tree-form", "another schema", "schema_mismatch", []byte(strings.Replace(string(of(entry("a"))), "mythos.", "Mythos.", 1)))
	var none cid.Hash
	no("tree-form", "a Hash", "can_type", none.AppendCAN(nil))
}

// pkgWideMode writes mode 256 where a tree's one file says 0.
func pkgWideMode(raw []byte) []byte {
	return []byte(strings.Replace(string(raw), "\x03\x02\x03\x00\x03\x03", "\x03\x02\x03\x80\x02\x03\x03", 1))
}
