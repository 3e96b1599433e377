package wasm

import (
	"runtime"
	"runtime/debug"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

const (
	wazeroPath = "github.com/tetratelabs/wazero"
	// wazeroVersion is used where a binary carries no build information; a test
	// compares it with go.mod.
	wazeroVersion = "v1.12.0"
)

// features are those of WebAssembly 2.0 without SIMD, whose float operations
// differ between machines in the bits of a NaN.
const features = api.CoreFeaturesV2 &^ api.CoreFeatureSIMD

// engineName returns the engine as evidence records it: what could make a
// difference to a result, were there a defect.
func engineName(interpreter bool) string {
	mode := "compiler"
	if interpreter {
		mode = "interpreter"
	}
	return "wazero/" + engineVersion() + " " + mode + " " + runtime.GOOS + "/" + runtime.GOARCH
}

func engineVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return wazeroVersion
	}
	for _, d := range info.Deps {
		if d.Path == wazeroPath && d.Version != "" {
			return d.Version
		}
	}
	return wazeroVersion
}

// compilerSupported reports whether wazero compiles to machine code here.
func compilerSupported() bool {
	switch runtime.GOOS {
	case "linux", "darwin", "freebsd", "netbsd", "windows":
		return runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"
	}
	return false
}

// runtimeConfig returns wazero's settings. The memory limit is the format's
// own: the allocator enforces each call's, and must see every growth to note a
// refusal.
func runtimeConfig(interpreter bool) wazero.RuntimeConfig {
	c := wazero.NewRuntimeConfigCompiler()
	if interpreter {
		c = wazero.NewRuntimeConfigInterpreter()
	}
	return c.WithCoreFeatures(features).
		WithMemoryLimitPages(maxPages).
		WithDebugInfoEnabled(false).
		WithCloseOnContextDone(true) // until modules yield: see the package comment
}
