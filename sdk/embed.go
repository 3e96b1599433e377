// Package sdk embeds the sources of the guest SDKs that a new package is given a
// copy of, so that "mythos init" needs nothing but itself. The SDKs are the
// folders beside this file; README.md says what each of them is.
package sdk

import (
	"embed"
	"io/fs"
)

//go:embed go/tool/*.go
//go:embed rust/Cargo.toml rust/src
//go:embed c/mythos.c c/mythos.h
//go:embed as/assembly
//go:embed ts/guest/mythos-tool.js ts/guest/mythos-tool.d.ts
//go:embed python/mythos_tool.py
var files embed.FS

// Files returns the sources, as they stand in this folder. Tests of the SDKs are
// among them.
func Files() fs.FS { return files }
