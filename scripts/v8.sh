#!/usr/bin/env bash
# Runs the guests of the golden counts in V8 (Node 20 or later) and compares
# fuel, response and memory with the table, at the full, the exact, the short
# and half the limit. The design is the one that checks every segment; the host
# side is written in JavaScript from RFC-MYTHOS-0006. One line for each guest;
# it fails on any difference.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# -eq 0 ] || die "usage: v8.sh"
have node || die "node is not installed: Node 20 or later is needed"
scratch
guests=runtime/runner/wasm/testdata/guests
toolchain=$(cat "$guests/go/toolchain")

# build_go NAME MODE PACKAGE builds a Go guest as the golden test does.
build_go() {
	GOTOOLCHAIN=$toolchain GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 GOFLAGS='' GOWASM='' GOEXPERIMENT='' GOFIPS140=off \
		go build "-buildmode=$2" -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o "$SCRATCH/guests/go/$1.wasm" "$3"
}

mkdir "$SCRATCH/v8"
cp -R "$guests" "$SCRATCH/guests"
build_go echo c-shared ./tools/echo/go
build_go work exe "./$guests/go/work"
go_pure run ./internal/v8counts "$guests/golden.json" "$SCRATCH/guests" "$SCRATCH/v8"
node internal/v8counts/run.mjs "$guests/golden.json" "$SCRATCH/v8"
