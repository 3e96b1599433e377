#!/usr/bin/env bash
# Formats every Go file of the project; with --check, only names those that
# are not formatted, and fails if there are any.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

build_tools
if [ "${1:-}" = --check ]; then
	bad=$(bin/tools/gofumpt -l .)
	[ -z "$bad" ] || die "not formatted, run make fmt:"$'\n'"$bad"
	exit 0
fi
bin/tools/gofumpt -l -w .
