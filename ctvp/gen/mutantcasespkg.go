package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// atBounds are manifests with everything at its least and at its most, and rules
// broken by one.
func (g *pkgGen) atBounds() {
	g.spec = "RFC-MYTHOS-0006 §4"
	least := func(m *manifest.Manifest) {
		m.Name, m.Version, m.Requires.ExecutorMinVersion = "a", "0.0.0", "0.0.0"
		for i := range m.Modules {
			l := &m.Modules[i].Module.Limits
			*l = manifest.Limits{TimeoutMicros: 1000, MemoryBytes: 65536, Fuel: l.Fuel, MaxRequestBytes: 256, MaxResponseBytes: 256}
			if l.Fuel != nil {
				l.Fuel = pkgPtr(uint64(1))
			}
		}
	}
	word := strings.Repeat("w", 64)
	most := func(m *manifest.Manifest) {
		for i := range m.Modules {
			r := &m.Modules[i].Module
			r.Limits = manifest.Limits{
				TimeoutMicros: 3_600_000_000, MemoryBytes: 65_535 << 16, Fuel: r.Limits.Fuel,
				MaxRequestBytes: 16 << 20, MaxResponseBytes: 16 << 20, MaxStderrBytes: 16 << 20, MaxIOCalls: 1_000_000,
			}
			if r.Limits.Fuel != nil {
				r.Limits.Fuel = pkgPtr(uint64(1<<63 - 1))
			}
			r.Retry, r.Probe = manifest.RetryReconcile, []string{"probe"}
		}
		m.Modules[0].Module.CapsRequired = pkgCaps(64)
		m.Modules[1].Module.Probe = slices.Repeat([]string{"a"}, 64)
		m.Modules[2].Module.Platform = strings.Repeat("a", 31) + "/" + strings.Repeat("0", 32)
		m.Modules[3].Module.Platform = "linux/" + strings.Repeat("a", 58)
		m.Modules[4].Module.Entry = append([]string{strings.Repeat("a", 4096)}, slices.Repeat([]string{"a"}, 63)...)
		m.Modules[4].Module.Runtime = &manifest.Runtime{Name: "python3", Version: strings.Repeat(">=3.10 ", 8) + "<4.0.999"}
		m.Modules[4].Variant = word
		m.Entrypoints[1] = manifest.Entrypoint{Name: word, Bundle: h("ir"), TaskID: h("t"), Doc: strings.Repeat("d", 4096)}
		m.Artifacts[0].MediaType = strings.Repeat("~", 255)
		m.Artifacts[1].MediaType = " "
		m.Artifacts[2].Size, m.Artifacts[2].SHA256 = 8_589_934_591, h("flat")
	}
	for _, c := range []struct {
		doc    string
		change func(*manifest.Manifest)
	}{
		{"everything at its least", least},
		{"everything at its most", most},
		{"a runtime of one number", func(m *manifest.Manifest) { m.Modules[4].Module.Runtime.Version = "=0" }},
		{"a runtime of three numbers of nine digits", func(m *manifest.Manifest) {
			m.Modules[4].Module.Runtime.Version = ">999999999.999999999.999999999"
		}},
		{"variants of every grammar", func(m *manifest.Manifest) { m.Modules[4].Variant = "z.9_a-0" }},
		{"build metadata of a number with leading zeros", func(m *manifest.Manifest) { m.Version = "1.0.0+001" }},
		{"a name of every joint", func(m *manifest.Manifest) { m.Name = "a.z_0/9-a" }},
		{"1,024 entry points", func(m *manifest.Manifest) { m.Entrypoints = pkgEntries(1024) }},
	} {
		m := g.sample()
		c.change(m)
		g.signed(m, g.publisher)
		i := g.open(m.AppendCAN(nil))
		if len(m.Entrypoints) > 2 {
			i["hex"] = g.p.file("manifest", m.AppendCAN(nil))
		}
		g.valid("at-bound", "manifest.open", c.doc, i, pkgOpened(m, g.publisher))
	}
	features := g.sample()
	names := []string{}
	for i := range 64 {
		names = append(names, fmt.Sprintf("f%02d", i)+strings.Repeat("x", 61))
	}
	features.Requires.Features = names
	i := g.open(g.signed(features, g.publisher).AppendCAN(nil))
	i["host"].(in)["features"] = names
	g.valid("at-bound", "manifest.open", "64 features of 64 bytes", i, pkgOpened(features, g.publisher))
	g.overBounds()
}

func pkgCaps(n int) []manifest.CapRequirement {
	var all []manifest.CapRequirement
	for i := range n {
		all = append(all, manifest.CapRequirement{Kind: uint8(i)})
	}
	return all
}

func pkgEntries(n int) []manifest.Entrypoint {
	var all []manifest.Entrypoint
	for i := range n {
		all = append(all, manifest.Entrypoint{Name: fmt.Sprintf("e%04d", i), Bundle: h("ir"), TaskID: h("t")})
	}
	return all
}

// overBounds are rules broken by one.
func (g *pkgGen) overBounds() {
	limit := func(what, doc string, change func(*manifest.Limits)) pkgRule {
		return pkgRule{what, doc, "module_limits_invalid", func(m *manifest.Manifest) { change(&m.Modules[0].Module.Limits) }}
	}
	ref := func(n int, what, doc string, change func(*manifest.ModuleRef)) pkgRule {
		return pkgRule{what, doc, "module_ref_invalid", func(m *manifest.Manifest) { change(&m.Modules[n].Module) }}
	}
	runtime := func(doc, version string) pkgRule {
		return ref(4, "runtime-version", doc, func(r *manifest.ModuleRef) { r.Runtime.Version = version })
	}
	long := strings.Repeat("w", 65)
	g.breaks([]pkgRule{
		limit("limits-low", "responses of 255 bytes", func(l *manifest.Limits) { l.MaxResponseBytes = 255 }),
		limit("limits-high", "a page more than 32 bits can size", func(l *manifest.Limits) { l.MemoryBytes = 65_535<<16 + 1 }),
		limit("limits-high", "requests of 16 MiB and a byte", func(l *manifest.Limits) { l.MaxRequestBytes = 16<<20 + 1 }),
		limit("limits-high", "a standard error of 16 MiB and a byte", func(l *manifest.Limits) { l.MaxStderrBytes = 16<<20 + 1 }),
		ref(2, "platform-long", "65 bytes", func(r *manifest.ModuleRef) { r.Platform = strings.Repeat("a", 31) + "/" + strings.Repeat("0", 33) }),
		ref(2, "platform-form", "no system", func(r *manifest.ModuleRef) { r.Platform = "/amd64" }),
		ref(2, "platform-form", "no architecture", func(r *manifest.ModuleRef) { r.Platform = "linux/" }),
		ref(2, "platform-form", "a joint at the end", func(r *manifest.ModuleRef) { r.Platform = "linux_/amd64" }),
		ref(2, "platform-form", "a variant of the architecture", func(r *manifest.ModuleRef) { r.Platform = "linux/arm/v7" }),
		ref(0, "abi-kind", "wasm with stdio and reuse", func(r *manifest.ModuleRef) { r.ABI, r.Reuse = manifest.ABIStdio, true }),
		ref(1, "image-runtime", "an image on node", func(r *manifest.ModuleRef) { r.Runtime = &manifest.Runtime{Name: "node", Version: "=20"} }),
		ref(4, "probe", "a probe with an empty word", func(r *manifest.ModuleRef) { r.Retry, r.Probe = manifest.RetryReconcile, []string{""} }),
		ref(4, "probe", "a probe of 65 words", func(r *manifest.ModuleRef) {
			r.Retry, r.Probe = manifest.RetryReconcile, slices.Repeat([]string{"a"}, 65)
		}),
		runtime("65 bytes", strings.Repeat(">=3.10 ", 8)+"<4.0.9999"),
		runtime("a number of ten digits", ">=1000000000"),
		runtime("a leading zero", ">=03.1"),
		runtime("no number", ">="),
		runtime("no comparison", "3.10"),
		runtime("a dot at the end", ">=3."),
		runtime("nothing", ""),
		{"variant-long", "65 bytes", "module_ref_invalid", func(m *manifest.Manifest) { m.Modules[4].Variant = long }},
		{"entry-long", "a name of 65 bytes", "entrypoint_invalid", func(m *manifest.Manifest) { m.Entrypoints[1].Name = long }},
		{"feature-form", "a name of 65 bytes", "feature_missing", func(m *manifest.Manifest) { m.Requires.Features = []string{long} }},
		{"entries-many", "1,025 entry points", "package_limit", func(m *manifest.Manifest) { m.Entrypoints = pkgEntries(1025) }},
	})
	tree := func(what, doc, code string, list ...manifest.TreeEntry) {
		t := manifest.Tree{Entries: list}
		g.invalid(what, "tree.open", doc, in{"hex": t.AppendCAN(nil)}, code)
	}
	large := manifest.TreeEntry{Path: "large", CID: h("large"), Size: 4 << 30, SHA256: h("flat")}
	whole := manifest.Tree{Entries: []manifest.TreeEntry{large}}
	g.valid("tree-at-bound", "tree.open", "4 GiB in one file", in{"hex": whole.AppendCAN(nil)}, out{"paths": []any{"large"}})
	tree("tree-over", "4 GiB and a byte in three files", "tree_invalid",
		manifest.TreeEntry{Path: "a", CID: h("a"), Size: 1, SHA256: h("a")}, manifest.TreeEntry{Path: "b", CID: h("b"), SHA256: h("b")}, large)
}

// letters are paths that are equal but for the case of the first and last letter.
func (g *pkgGen) letters() {
	g.spec = "RFC-MYTHOS-0006 §5"
	for _, pair := range [][]string{{"A", "a"}, {"Z", "z"}, {"x/Mm", "x/mM"}} {
		g.invalid("collision-case", "path.check", "equal but for case: "+pair[0]+" and "+pair[1], in{"paths": pair}, "path_collision", "path-safety")
	}
	g.valid("path-beside-letters", "path.check", "characters beside the letters", in{"paths": []string{"@", "[", "]"}}, out{}, "path-safety")
}

// precedence are the versions of Semantic Versioning's own example, each needed by
// a package and offered by an executor.
func (g *pkgGen) precedence() {
	g.spec = "RFC-MYTHOS-0006 §9"
	ladder := []string{
		"1.0.0-1", "1.0.0-2", "1.0.0-11", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
		"1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0",
	}
	asked := func(have, want string) (*manifest.Manifest, in) {
		m := g.sample()
		m.Requires.ExecutorMinVersion = want
		i := g.open(g.signed(m, g.publisher).AppendCAN(nil))
		i["host"].(in)["version"] = have
		return m, i
	}
	for n := range len(ladder) - 1 {
		low, high := ladder[n], ladder[n+1]
		m, i := asked(high, low)
		g.valid("version-later", "manifest.open", "the executor is "+high+", the package wants "+low, i, pkgOpened(m, g.publisher))
		what := "version-earlier"
		if n >= 10 {
			what = "version-earlier-core"
		}
		_, i = asked(low, high)
		g.refuse(what, "the executor is "+low+", the package wants "+high, i, "executor_too_old")
	}
	for _, v := range []string{"1.0.0-alpha.1", "1.0.0"} {
		m, i := asked(v, v)
		g.valid("version-same", "manifest.open", "the executor is "+v+", the package wants it", i, pkgOpened(m, g.publisher))
	}
	m, i := asked("1.0.0+build", "1.0.0")
	g.valid("version-same", "manifest.open", "the executor is 1.0.0+build, the package wants 1.0.0", i, pkgOpened(m, g.publisher))
}
