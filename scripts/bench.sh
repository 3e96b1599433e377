#!/usr/bin/env bash
# Paired benchmarks against peers and against the bare floor, in one process
# run; prints the table of ratios and writes it under bench/.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

go_pure -C bench run . "$@"
