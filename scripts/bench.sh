#!/usr/bin/env bash
# Paired benchmarks against peers and against the bare floor, in one process
# run; prints the table of ratios and writes it under bench/. One peer,
# wasmtime, needs cgo: without a C compiler its rows are missing, loudly. The
# project itself is the same either way.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cgo=0
if have "$(go env CC | cut -d ' ' -f 1)"; then
	cgo=1
else
	say "!! No C compiler ($(go env CC)): wasmtime is left out."
fi
CGO_ENABLED=$cgo go -C bench run . "$@"
