package manifest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mythos-run/mythos/runtime/libs/can"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/receipt"
	"github.com/mythos-run/mythos/runtime/libs/sig"
)

func key(n byte) sig.Key { return sig.NewKey([32]byte{n, 1}, fmt.Sprintf("TEST ONLY %d", n)) }

func codebook() cid.Hash { return cid.Sum([]byte("codebook")) }

func host() Host { return Host{Version: "0.2.0", Codebooks: []cid.Hash{codebook()}} }

func artifact(kind uint8, content string) Artifact {
	h := cid.Sum([]byte(content))
	return Artifact{Kind: kind, CID: h, MediaType: "application/octet-stream", Size: uint64(len(content)), SHA256: h}
}

func ref[T any](v T) *T { return &v }

// sample returns a manifest that uses every field.
func sample() *Manifest {
	m := &Manifest{
		FormatVersion: 1, Name: "demo/one", Version: "1.2.3-rc.1+b",
		Requires: Requires{ExecutorMinVersion: "0.1.0", CodebookID: codebook()},
	}
	for kind, content := range map[string]uint8{"ir": KindIR, "wasm": KindModule, "elf": KindModule, "tree": KindTree, "policy": KindPolicy, "schema": KindSchema, "doc": KindDoc, "image": KindImage} {
		m.Artifacts = append(m.Artifacts, artifact(content, kind))
	}
	slices.SortFunc(m.Artifacts, func(a, b Artifact) int { return a.CID.Compare(b.CID) })
	echo := Tool{
		Name: "demo/echo", Interface: 1, RequestTypeID: cid.Sum([]byte("req")), ResponseTypeID: cid.Sum([]byte("resp")),
		Description: ref(cid.Sum([]byte("doc"))), RequestSchema: ref(cid.Sum([]byte("schema"))),
	}
	limits := Limits{TimeoutMicros: 1e6, MemoryBytes: 1 << 26, Fuel: ref(uint64(1e9)), MaxRequestBytes: 1 << 20, MaxResponseBytes: 1 << 20, MaxStderrBytes: 1 << 16}
	other := limits
	other.Fuel = nil
	m.Modules = []ModuleBinding{
		{Tool: echo, Module: ModuleRef{Kind: ModuleWasm, CID: cid.Sum([]byte("wasm")), Entry: []string{"_start"}, Limits: limits, ABI: ABIHostcall, CapsRequired: []CapRequirement{{Kind: 35}, {Kind: 36}, {Kind: 36, Scope: []byte{8, 0}}}}},
		{Tool: echo, Variant: "image", Module: ModuleRef{Kind: ModuleOCI, CID: cid.Sum([]byte("image")), Entry: []string{"/bin/echo"}, Limits: other, ABI: ABIStdio, Platform: "linux/amd64"}},
		{Tool: echo, Variant: "native", Module: ModuleRef{Kind: ModuleNative, CID: cid.Sum([]byte("elf")), Entry: []string{"echo"}, Limits: other, ABI: ABIStdio, Platform: "linux/amd64"}},
		{Tool: echo, Variant: "native", Module: ModuleRef{Kind: ModuleNative, CID: cid.Sum([]byte("elf")), Entry: []string{"echo"}, Limits: other, ABI: ABIStdio, Platform: "linux/arm64"}},
		{Tool: echo, Variant: "node", Module: ModuleRef{Kind: ModuleProcess, CID: cid.Sum([]byte("tree")), Entry: []string{"main.js"}, Limits: other, ABI: ABIStdio, Reuse: true, Runtime: &Runtime{"node", ">=20 <25.1"}}},
	}
	for i := range m.Modules {
		m.Modules[i].ToolID = m.Modules[i].Tool.ID()
	}
	m.Entrypoints = []Entrypoint{{Name: "a", Bundle: cid.Sum([]byte("ir")), TaskID: cid.Sum([]byte("t"))}, {Name: "main", Bundle: cid.Sum([]byte("ir")), TaskID: cid.Sum([]byte("t")), Doc: "says hello"}}
	m.Policies = []cid.Hash{cid.Sum([]byte("policy"))}
	return m
}

func sign(t testing.TB, m *Manifest, keys ...sig.Key) []byte {
	t.Helper()
	var signers []sig.Signer
	for _, k := range keys {
		signers = append(signers, k)
	}
	raw, err := Sign(m, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func decode(t testing.TB, raw []byte) *Unverified {
	t.Helper()
	u, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func trusting(threshold int, keys ...sig.Key) []Publisher {
	p := Publisher{Threshold: threshold, Covers: true}
	for _, k := range keys {
		p.Keys = append(p.Keys, k.Agent())
	}
	return []Publisher{p}
}

func TestVerify(t *testing.T) {
	m := sample()
	raw := sign(t, m, key(1), key(2))
	u := decode(t, raw)
	v, err := u.Verify(append([]Publisher{{}}, trusting(2, key(1), key(2), key(3))...), host())
	if err != nil {
		t.Fatal(err)
	}
	id, _ := cid.Without(raw, 1, 11, 12)
	if v.PackageID() != id || v.CID() != cid.Sum(raw) || v.Publisher() != 1 || len(v.Signers()) != 2 || v.Manifest().Name != "demo/one" {
		t.Errorf("got %v %v publisher %d, %d signers", v.PackageID(), v.CID(), v.Publisher(), len(v.Signers()))
	}
	if u2 := decode(t, sign(t, sample(), key(3))); u2.PackageID() != id || u2.CID() == v.CID() {
		t.Error("package_id depends on who signs, or the CID does not")
	}
	if got := can.Valid(v.Manifest().AppendSig(nil)); got != nil {
		t.Error(got)
	}
	if got := (&Manifest{}).AppendSig(nil); !bytes.Equal(got, []byte{7, 0}) {
		t.Errorf("manifest.sig without signatures is %x", got)
	}
}

func TestVerdicts(t *testing.T) {
	broken := func(n int) func(*Manifest) {
		return func(m *Manifest) { m.Signatures[n].SigBytes[7] ^= 1 }
	}
	order := []sig.Key{key(1), key(2)}
	slices.SortFunc(order, func(a, b sig.Key) int { return a.Agent().KeyID().Compare(b.Agent().KeyID()) })
	first, second := order[0], order[1]
	for name, c := range map[string]struct {
		keys  []sig.Key
		spoil func(*Manifest)
		trust []Publisher
		want  fault.Code
	}{
		"unsigned":                    {nil, nil, trusting(1, key(1)), ErrUnsigned},
		"unsigned, nobody trusted":    {nil, nil, nil, ErrUnsigned},
		"stranger":                    {[]sig.Key{key(3)}, nil, trusting(1, key(1)), ErrSignerUnknown},
		"nobody trusted":              {[]sig.Key{key(3)}, nil, nil, ErrSignerUnknown},
		"stranger, broken":            {[]sig.Key{key(3)}, broken(0), trusting(1, key(1)), ErrSignerUnknown},
		"broken":                      {[]sig.Key{first}, broken(0), trusting(1, first), sig.ErrInvalid},
		"broken though others do":     {order, broken(0), trusting(1, first, second), sig.ErrInvalid},
		"broken though others do (2)": {order, broken(1), trusting(1, first, second), sig.ErrInvalid},
		"broken of another publisher": {order, broken(1), append(trusting(1, first), Publisher{Keys: []sig.AgentID{second.Agent()}, Threshold: 1}), sig.ErrInvalid},
		"broken stranger beside":      {order, broken(1), trusting(1, first), ""},
		"alg":                         {[]sig.Key{first}, func(m *Manifest) { m.Signatures[0].Alg = 2 }, trusting(1, first), sig.ErrInvalid},
		"too few":                     {[]sig.Key{first}, nil, trusting(2, first, second), ErrSignerThreshold},
		"enough":                      {order, nil, trusting(2, first, second), ""},
		"two entries do not add up":   {order, nil, append(trusting(2, first, key(4)), trusting(2, second, key(5))...), ErrSignerThreshold},
		"name not covered":            {[]sig.Key{first}, nil, []Publisher{{Keys: []sig.AgentID{first.Agent()}, Threshold: 1}}, ErrSignerThreshold},
		"threshold 0":                 {[]sig.Key{first}, nil, trusting(0, first), ErrSignerThreshold},
		"one key listed twice":        {[]sig.Key{first}, nil, trusting(2, first, first), ErrSignerThreshold},
		"order":                       {order, func(m *Manifest) { slices.Reverse(m.Signatures) }, trusting(1, first), ErrOrder},
		"twice":                       {[]sig.Key{first}, func(m *Manifest) { m.Signatures = append(m.Signatures, m.Signatures[0]) }, trusting(1, first), ErrOrder},
		"no key_id":                   {[]sig.Key{first}, func(m *Manifest) { m.Signatures[0].KeyID = nil }, trusting(1, first), sig.ErrKeyID},
	} {
		t.Run(name, func(t *testing.T) {
			m := sample()
			sign(t, m, c.keys...)
			if c.spoil != nil {
				c.spoil(m)
			}
			_, err := decode(t, m.AppendCAN(nil)).Verify(c.trust, host())
			if fault.CodeOf(err) != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestEveryBit holds that a signed manifest stands no flipped bit.
func TestEveryBit(t *testing.T) {
	raw := sign(t, sample(), key(1))
	check := func() error {
		u, err := Decode(raw)
		if err != nil {
			return err
		}
		_, err = u.Verify(trusting(1, key(1)), host())
		return err
	}
	if err := check(); err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			if err := check(); fault.CodeOf(err) == "" {
				t.Fatalf("byte %d bit %d: accepted, or no code: %v", i, bit, err)
			}
			raw[i] ^= 1 << bit
		}
	}
}

func TestHost(t *testing.T) {
	pack := cid.Sum([]byte("SHA256SUMS"))
	for name, c := range map[string]struct {
		want fault.Code
		m    func(*Manifest)
		h    func(*Host)
	}{
		"fits":            {"", nil, nil},
		"format":          {ErrFormat, func(m *Manifest) { m.FormatVersion = 2 }, nil},
		"too old":         {ErrExecutorTooOld, func(m *Manifest) { m.Requires.ExecutorMinVersion = "0.2.1" }, nil},
		"pre-release":     {ErrExecutorTooOld, nil, func(h *Host) { h.Version = "0.1.0-rc.1" }},
		"newer":           {"", nil, func(h *Host) { h.Version = "12.0.0" }},
		"no version":      {ErrVersion, func(m *Manifest) { m.Requires.ExecutorMinVersion = "" }, nil},
		"build":           {ErrVersion, func(m *Manifest) { m.Requires.ExecutorMinVersion = "0.1.0+a" }, nil},
		"codebook":        {ErrCodebook, func(m *Manifest) { m.Requires.CodebookID = cid.Hash{} }, nil},
		"feature":         {ErrFeature, func(m *Manifest) { m.Requires.Features = []string{"ir.level1"} }, nil},
		"known feature":   {"", func(m *Manifest) { m.Requires.Features = []string{"ir.level1"} }, func(h *Host) { h.Features = []string{"ir.level1"} }},
		"ctvp":            {ErrCTVP, func(m *Manifest) { m.Requires.CTVPID = &pack }, nil},
		"known ctvp":      {"", func(m *Manifest) { m.Requires.CTVPID = &pack }, func(h *Host) { h.CTVPs = []cid.Hash{pack} }},
		"format before":   {ErrFormat, func(m *Manifest) { m.FormatVersion, m.Requires.CodebookID = 2, cid.Hash{} }, nil},
		"version before":  {ErrExecutorTooOld, func(m *Manifest) { m.Requires.CodebookID = cid.Hash{} }, func(h *Host) { h.Version = "0.0.1" }},
		"codebook before": {ErrCodebook, func(m *Manifest) { m.Requires = Requires{"0.1.0", cid.Hash{}, &pack, []string{"x"}} }, nil},
		"feature before":  {ErrFeature, func(m *Manifest) { m.Requires = Requires{"0.1.0", codebook(), &pack, []string{"x"}} }, nil},
	} {
		m, h := sample(), host()
		if c.m != nil {
			c.m(m)
		}
		if c.h != nil {
			c.h(&h)
		}
		resign(m, key(1))
		_, err := decode(t, m.AppendCAN(nil)).Verify(trusting(1, key(1)), h)
		if fault.CodeOf(err) != c.want {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// resign signs a manifest that Sign would refuse.
func resign(m *Manifest, k sig.Key) {
	m.Signatures = nil
	m.PackageID, _ = cid.Without(m.AppendCAN(nil), 1, 11, 12)
	if err := m.addSignature(k); err != nil {
		panic(err)
	}
}

func TestRules(t *testing.T) {
	module := func(n int, change func(*ModuleRef)) func(*Manifest) {
		return func(m *Manifest) { change(&m.Modules[n].Module) }
	}
	wasm := func(change func(*ModuleRef)) func(*Manifest) { return module(0, change) }
	node := func(change func(*ModuleRef)) func(*Manifest) { return module(4, change) }
	limit := func(change func(*Limits)) func(*Manifest) { return wasm(func(x *ModuleRef) { change(&x.Limits) }) }
	entry := func(change func(*Entrypoint)) func(*Manifest) {
		return func(m *Manifest) { change(&m.Entrypoints[1]) }
	}
	tool := func(change func(*Tool)) func(*Manifest) {
		return func(m *Manifest) {
			for i := range m.Modules {
				change(&m.Modules[i].Tool)
				m.Modules[i].ToolID = m.Modules[i].Tool.ID()
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*Manifest)
		want   fault.Code
	}{
		"sample":                  {func(*Manifest) {}, ""},
		"name empty":              {func(m *Manifest) { m.Name = "" }, ErrName},
		"name upper":              {func(m *Manifest) { m.Name = "Demo" }, ErrName},
		"name slash":              {func(m *Manifest) { m.Name = "demo/" }, ErrName},
		"name dots":               {func(m *Manifest) { m.Name = "demo/../x" }, ErrName},
		"name long":               {func(m *Manifest) { m.Name = strings.Repeat("a", 129) }, ErrName},
		"name longest":            {func(m *Manifest) { m.Name = strings.Repeat("a", 128) }, ""},
		"version":                 {func(m *Manifest) { m.Version = "1.0" }, ErrVersion},
		"longest version":         {func(m *Manifest) { m.Version = "1.0.0-" + strings.Repeat("a", 122) }, ""},
		"longer version":          {func(m *Manifest) { m.Version = "1.0.0-" + strings.Repeat("a", 123) }, ErrVersion},
		"feature order":           {func(m *Manifest) { m.Requires.Features = []string{"b", "a"} }, ErrOrder},
		"feature twice":           {func(m *Manifest) { m.Requires.Features = []string{"a", "a"} }, ErrOrder},
		"feature name":            {func(m *Manifest) { m.Requires.Features = []string{"A"} }, ErrFeature},
		"features":                {func(m *Manifest) { m.Requires.Features = make([]string, 65) }, ErrLimit},
		"artifact order":          {func(m *Manifest) { slices.Reverse(m.Artifacts) }, ErrOrder},
		"artifact twice":          {func(m *Manifest) { m.Artifacts[1] = m.Artifacts[0] }, ErrOrder},
		"artifact kind 0":         {func(m *Manifest) { m.Artifacts[0].Kind = 0 }, ErrArtifact},
		"artifact kind 11":        {func(m *Manifest) { m.Artifacts[0].Kind = 11 }, ErrArtifact},
		"media type empty":        {func(m *Manifest) { m.Artifacts[0].MediaType = "" }, ErrArtifact},
		"media type control":      {func(m *Manifest) { m.Artifacts[0].MediaType = "a\x1b[2J" }, ErrArtifact},
		"media type long":         {func(m *Manifest) { m.Artifacts[0].MediaType = strings.Repeat("a", 256) }, ErrArtifact},
		"flat cid":                {func(m *Manifest) { m.Artifacts[0].SHA256[0] ^= 1 }, ErrArtifactHash},
		"chunked cid":             {func(m *Manifest) { m.Artifacts[0].Size = 4<<20 + 1 }, ErrArtifactHash},
		"4 MiB is flat":           {func(m *Manifest) { m.Artifacts[0].Size = 4 << 20 }, ""},
		"artifact large":          {func(m *Manifest) { m.Artifacts[0].Size, m.Artifacts[0].SHA256 = MaxArtifactSize+1, cid.Hash{} }, ErrLimit},
		"artifacts":               {func(m *Manifest) { m.Artifacts = make([]Artifact, 10_001) }, ErrLimit},
		"module order":            {func(m *Manifest) { m.Modules[0], m.Modules[1] = m.Modules[1], m.Modules[0] }, ErrOrder},
		"platform order":          {func(m *Manifest) { m.Modules[2], m.Modules[3] = m.Modules[3], m.Modules[2] }, ErrOrder},
		"module twice":            {func(m *Manifest) { m.Modules[3] = m.Modules[2] }, ErrOrder},
		"modules":                 {func(m *Manifest) { m.Modules = make([]ModuleBinding, 1025) }, ErrLimit},
		"no modules":              {func(m *Manifest) { m.Modules = nil }, ""},
		"tool name":               {tool(func(x *Tool) { x.Name = "Echo" }), ErrTool},
		"tool reserved":           {tool(func(x *Tool) { x.Name = "mythos/echo" }), ErrTool},
		"tool_id":                 {func(m *Manifest) { m.Modules[0].Tool.Interface = 2 }, sig.ErrID},
		"description kind":        {tool(func(x *Tool) { x.Description = ref(cid.Sum([]byte("schema"))) }), ErrReference},
		"schema missing":          {tool(func(x *Tool) { x.ResponseSchema = ref(cid.Sum([]byte("nothing"))) }), ErrReference},
		"variant name":            {func(m *Manifest) { m.Modules[4].Variant = "no/de" }, ErrModule},
		"variants' tools":         {func(m *Manifest) { m.Modules[4].Tool.Description = nil }, ErrVariant},
		"variants' retry":         {node(func(x *ModuleRef) { x.Retry = RetryPure }), ErrVariant},
		"variants' request":       {node(func(x *ModuleRef) { x.Limits.MaxRequestBytes++ }), ErrVariant},
		"variants' response":      {node(func(x *ModuleRef) { x.Limits.MaxResponseBytes++ }), ErrVariant},
		"variants' timeout":       {node(func(x *ModuleRef) { x.Limits.TimeoutMicros++ }), ""},
		"module kind 0":           {wasm(func(x *ModuleRef) { x.Kind = 0 }), ErrModule},
		"module kind 5":           {wasm(func(x *ModuleRef) { x.Kind = 5 }), ErrModule},
		"module missing":          {wasm(func(x *ModuleRef) { x.CID = cid.Sum(nil) }), ErrReference},
		"module is a tree":        {wasm(func(x *ModuleRef) { x.CID = cid.Sum([]byte("tree")) }), ErrReference},
		"process is a file":       {node(func(x *ModuleRef) { x.CID = cid.Sum([]byte("wasm")) }), ErrReference},
		"no entry":                {wasm(func(x *ModuleRef) { x.Entry = nil }), ErrModule},
		"two exports":             {wasm(func(x *ModuleRef) { x.Entry = []string{"a", "b"} }), ErrModule},
		"empty word":              {node(func(x *ModuleRef) { x.Entry = []string{"main.js", ""} }), ErrModule},
		"NUL":                     {node(func(x *ModuleRef) { x.Entry = []string{"main.js\x00"} }), ErrModule},
		"long word":               {node(func(x *ModuleRef) { x.Entry = []string{strings.Repeat("a", 4097)} }), ErrModule},
		"65 words":                {node(func(x *ModuleRef) { x.Entry = strings.Split(strings.Repeat("a ", 64)+"a", " ") }), ErrModule},
		"caps order":              {wasm(func(x *ModuleRef) { slices.Reverse(x.CapsRequired) }), ErrModule},
		"cap twice":               {wasm(func(x *ModuleRef) { x.CapsRequired[1] = x.CapsRequired[0] }), ErrModule},
		"cap scope":               {wasm(func(x *ModuleRef) { x.CapsRequired[2].Scope = []byte{8, 1} }), ErrModule},
		"caps":                    {wasm(func(x *ModuleRef) { x.CapsRequired = make([]CapRequirement, 65) }), ErrModule},
		"retry 4":                 {wasm(func(x *ModuleRef) { x.Retry = 4 }), ErrModule},
		"reconcile without probe": {wasm(func(x *ModuleRef) { x.Retry = RetryReconcile }), ErrModule},
		"probe without reconcile": {wasm(func(x *ModuleRef) { x.Probe = []string{"probe"} }), ErrModule},
		"abi 0":                   {wasm(func(x *ModuleRef) { x.ABI = 0 }), ErrModule},
		"wasm over stdio":         {wasm(func(x *ModuleRef) { x.ABI = ABIStdio }), ""},
		"process over hostcalls":  {node(func(x *ModuleRef) { x.ABI = ABIHostcall }), ErrModule},
		"wasm reuse":              {wasm(func(x *ModuleRef) { x.Reuse = true }), ErrModule},
		"wasm runtime":            {wasm(func(x *ModuleRef) { x.Runtime = &Runtime{"node", ">=20"} }), ErrModule},
		"wasm platform":           {wasm(func(x *ModuleRef) { x.Platform = "linux/amd64" }), ErrModule},
		"process platform":        {node(func(x *ModuleRef) { x.Platform = "linux/amd64" }), ErrModule},
		"no runtime":              {node(func(x *ModuleRef) { x.Runtime = nil }), ErrModule},
		"other runtime":           {node(func(x *ModuleRef) { x.Runtime.Name = "bash" }), ErrModule},
		"runtime version":         {node(func(x *ModuleRef) { x.Runtime.Version = "latest" }), ErrModule},
		"runtime spaces":          {node(func(x *ModuleRef) { x.Runtime.Version = ">=20  <25" }), ErrModule},
		"runtime four numbers":    {node(func(x *ModuleRef) { x.Runtime.Version = ">=1.2.3.4" }), ErrModule},
		"runtime ==":              {node(func(x *ModuleRef) { x.Runtime.Version = "==3" }), ErrModule},
		"native platform":         {module(2, func(x *ModuleRef) { x.Platform = "" }), ErrModule},
		"native platform form":    {module(2, func(x *ModuleRef) { x.Platform = "linux" }), ErrModule},
		"image platform":          {module(1, func(x *ModuleRef) { x.Platform = "" }), ""},
		"timeout 0":               {limit(func(x *Limits) { x.TimeoutMicros = 0 }), ErrModuleLimits},
		"timeout large":           {limit(func(x *Limits) { x.TimeoutMicros = MaxTimeout + 1 }), ErrModuleLimits},
		"memory small":            {limit(func(x *Limits) { x.MemoryBytes = 65535 }), ErrModuleLimits},
		"memory large":            {limit(func(x *Limits) { x.MemoryBytes = 4<<30 + 1 }), ErrModuleLimits},
		"fuel absent":             {limit(func(x *Limits) { x.Fuel = nil }), ErrModuleLimits},
		"fuel 0":                  {limit(func(x *Limits) { x.Fuel = ref(uint64(0)) }), ErrModuleLimits},
		"fuel large":              {limit(func(x *Limits) { x.Fuel = ref(uint64(1 << 63)) }), ErrModuleLimits},
		"process fuel":            {node(func(x *ModuleRef) { x.Limits.Fuel = ref(uint64(1)) }), ErrModuleLimits},
		"request small":           {limit(func(x *Limits) { x.MaxRequestBytes = 255 }), ErrModuleLimits},
		"response large":          {limit(func(x *Limits) { x.MaxResponseBytes = 16<<20 + 1 }), ErrModuleLimits},
		"stderr large":            {limit(func(x *Limits) { x.MaxStderrBytes = 16<<20 + 1 }), ErrModuleLimits},
		"stderr 0":                {limit(func(x *Limits) { x.MaxStderrBytes = 0 }), ""},
		"io calls":                {limit(func(x *Limits) { x.MaxIOCalls = 1_000_001 }), ErrModuleLimits},
		"no entry points":         {func(m *Manifest) { m.Entrypoints = nil }, ErrLimit},
		"entry points":            {func(m *Manifest) { m.Entrypoints = make([]Entrypoint, 1025) }, ErrLimit},
		"entry point order":       {func(m *Manifest) { slices.Reverse(m.Entrypoints) }, ErrOrder},
		"entry point twice":       {entry(func(e *Entrypoint) { e.Name = "a" }), ErrOrder},
		"entry point name":        {entry(func(e *Entrypoint) { e.Name = "ma in" }), ErrEntrypoint},
		"entry point doc":         {entry(func(e *Entrypoint) { e.Doc = strings.Repeat("a", 4097) }), ErrEntrypoint},
		"entry point bundle":      {entry(func(e *Entrypoint) { e.Bundle = cid.Sum(nil) }), ErrReference},
		"entry point on wasm":     {entry(func(e *Entrypoint) { e.Bundle = cid.Sum([]byte("wasm")) }), ErrReference},
		"policy":                  {func(m *Manifest) { m.Policies[0] = cid.Sum([]byte("doc")) }, ErrReference},
		"policy twice":            {func(m *Manifest) { m.Policies = append(m.Policies, m.Policies[0]) }, ErrOrder},
		"attestation order":       {func(m *Manifest) { m.Attestations = make([]receipt.Attestation, 2) }, ErrOrder},
		"attestations":            {func(m *Manifest) { m.Attestations = make([]receipt.Attestation, 65) }, ErrLimit},
		"signatures":              {func(m *Manifest) { m.Signatures = make([]sig.Signature, 65) }, ErrLimit},
	} {
		t.Run(name, func(t *testing.T) {
			m := sample()
			c.change(m)
			if err := m.Validate(); fault.CodeOf(err) != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if c.want != "" {
				if _, err := Sign(m, key(1)); err == nil && name != "signatures" {
					t.Error("Sign signs it")
				}
			}
		})
	}
}

func TestAttestations(t *testing.T) {
	with := func(change func(*receipt.Attestation)) error {
		m := sample()
		sign(t, m, key(1))
		a := receipt.Attestation{SubjectHash: m.PackageID, ClaimType: 1, Result: 1, TimeObserved: 5}
		if _, _, err := sig.Sign(&a, key(9)); err != nil {
			t.Fatal(err)
		}
		change(&a)
		m.Attestations = []receipt.Attestation{a}
		_, err := decode(t, m.AppendCAN(nil)).Verify(trusting(1, key(1)), host())
		return err
	}
	if err := with(func(*receipt.Attestation) {}); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*receipt.Attestation){
		"about another package": func(a *receipt.Attestation) {
			a.SubjectHash[0] ^= 1
			sig.Sign(a, key(9))
		},
		"result changed":    func(a *receipt.Attestation) { a.Result = 2 },
		"signature changed": func(a *receipt.Attestation) { a.Signature.SigBytes[0] ^= 1 },
		"id changed":        func(a *receipt.Attestation) { a.AttestationID[0] ^= 1 },
	} {
		if err := with(change); !errors.Is(err, ErrAttestation) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddSignature(t *testing.T) {
	raw := sign(t, sample(), key(1))
	var err error
	for _, n := range []byte{5, 2, 9, 1, 5} {
		if raw, err = AddSignature(raw, key(n)); err != nil {
			t.Fatal(err)
		}
	}
	if want := sign(t, sample(), key(9), key(5), key(2), key(1)); !bytes.Equal(raw, want) {
		t.Error("signing one by one, in another order or twice gives other bytes than signing at once")
	}
	if _, err := AddSignature(raw[:40], key(1)); err == nil {
		t.Error("signed a torn manifest")
	}
	if _, err := AddSignature(raw, sig.Key{}); err == nil {
		t.Error("signed with an empty key")
	}
}

func TestDecode(t *testing.T) {
	raw := sign(t, sample(), key(1))
	if _, err := Decode(make([]byte, MaxBytes+1)); !errors.Is(err, ErrLimit) {
		t.Errorf("large: %v", err)
	}
	m := sample()
	sign(t, m)
	m.PackageID[3] ^= 1
	if _, err := Decode(m.AppendCAN(nil)); !errors.Is(err, sig.ErrID) {
		t.Errorf("package_id: %v", err)
	}
	if _, err := Decode(bytes.Replace(raw, []byte("mythos.package"), []byte("mythos.pbckage"), 1)); !errors.Is(err, can.ErrSchema) {
		t.Errorf("schema: %v", err)
	}
	for n := range raw {
		if _, err := Decode(raw[:n]); fault.CodeOf(err) == "" {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestVersions(t *testing.T) {
	ascending := []string{
		"0.0.0-0", "0.0.0", "0.0.1", "0.1.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
		"1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "2.0.0", "10.0.0", "18446744073709551616.0.0", "99999999999999999999.0.0",
	}
	for i, a := range ascending {
		for j, b := range ascending {
			va, err1 := ParseVersion(a)
			vb, err2 := ParseVersion(b)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			if got := va.Compare(vb); got != cmp.Compare(i, j) {
				t.Errorf("%s against %s: %d", a, b, got)
			}
		}
	}
	for _, s := range []string{"", "1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0+", "1.0.0-a..b", "1.0.0-ä", "v1.0.0", "1.0.0 ", "1.0.-1", "1.0.0-" + strings.Repeat("a", 123)} {
		if _, err := ParseVersion(s); !errors.Is(err, ErrVersion) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"1.0.0-01a", "1.0.0+01", "1.0.0--", "1.0.0-0a.-.b+-.0"} {
		if _, err := ParseVersion(s); err != nil {
			t.Error(err)
		}
	}
}

func TestWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[a-z0-9]{1,3}([._/-][a-z0-9]{1,2}){0,3}`).Draw(t, "name")
		if !CheckName(s) {
			t.Errorf("%q refused", s)
		}
		at := rapid.IntRange(0, len(s)).Draw(t, "at")
		for _, bad := range []string{s[:at] + "A" + s[at:], s + ".", "/" + s, s + "--a", s + "\n", s[:at] + "\x00" + s[at:]} {
			if CheckName(bad) {
				t.Errorf("%q accepted", bad)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(sign(f, sample(), key(1), key(2)))
	f.Add(sign(f, &Manifest{Name: "a", Version: "0.0.0", Requires: Requires{ExecutorMinVersion: "0.0.0"}, Artifacts: []Artifact{artifact(KindIR, "")}, Entrypoints: []Entrypoint{{Name: "a", Bundle: cid.Sum(nil)}}}))
	f.Add([]byte{8, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m Manifest
		if r := can.NewReader(raw); len(raw) < MaxBytes {
			if m.ReadCAN(&r); r.Done() == nil { // let it past the id
				m.PackageID, _ = cid.Without(raw, 1, 11, 12)
				raw = m.AppendCAN(nil)
			}
		}
		u, err := Decode(raw)
		if err != nil {
			if fault.CodeOf(err) == "" {
				t.Fatalf("no code: %v", err)
			}
			return
		}
		if again := u.Claims().AppendCAN(nil); !bytes.Equal(again, raw) {
			t.Fatalf("a second encoding:\n%x\n%x", raw, again)
		}
		for _, err := range []error{u.Validate(), u.CheckHost(host()), u.CheckAttestations()} {
			if err != nil && fault.CodeOf(err) == "" {
				t.Fatalf("no code: %v", err)
			}
		}
	})
}
