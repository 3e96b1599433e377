#!/usr/bin/env bash
# The TypeScript codec against cbor-x, in paired rounds in one process. Prints
# the figures, records them in bench/typescript.md, and fails if encoding is not
# at least 2 times, or decoding not 1.5 times, as fast.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

{ have node && have npm; } || die "Node 20 or later with npm is not installed"
scratch
(cd sdk/ts && npm ci --no-audit --no-fund --silent)
status=0
npm --prefix sdk/ts run --silent bench -- "$@" | tee "$SCRATCH/figures" || status=$?
[ -s "$SCRATCH/figures" ] || exit "$status"
processor=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1) || processor=
{
	say "# TypeScript against cbor-x"
	say
	say "\`make bench-ts\` on $(date -u +%Y-%m-%d), $(uname -sm), ${processor:-processor unknown}. A Receipt with integer keys is"
	say "encoded and decoded by \`sdk/ts\` and by cbor-x, each in every round; of the times and of the ratios"
	say "within each round the medians. Decoding by \`sdk/ts\` is strict. Wanted: 2.0 and 1.5."
	say
	say '```'
	cat "$SCRATCH/figures"
	say '```'
} >bench/typescript.md
exit "$status"
