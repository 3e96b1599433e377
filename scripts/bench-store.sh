#!/usr/bin/env bash
# The object store against its bounds, in paired rounds: a durable put of 1 GiB
# against cp and sync, a verified get against bare SHA-256, and 100,000 small durable
# puts against a synced file for each. Prints the medians and records them in
# bench/store.md. TMPDIR decides which disk is measured.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# -eq 0 ] || die "usage: bench-store.sh"
scratch
rounds="${MYTHOS_BENCH_ROUNDS:-5}"
[ "$rounds" -gt 1 ] || die "MYTHOS_BENCH_ROUNDS must be at least 2"
export MYTHOS_BENCH_MIB="${MYTHOS_BENCH_MIB:-1024}" MYTHOS_BENCH_OBJECTS="${MYTHOS_BENCH_OBJECTS:-100000}"

load=$(cut -d' ' -f1-3 /proc/loadavg)
go_pure test -c -o "$SCRATCH/local.test" ./runtime/cas/local
(cd runtime/cas/local && "$SCRATCH/local.test" -test.run '^$' -test.bench Paired -test.benchtime "${rounds}x") |
	tee "$SCRATCH/all" | sed -n '/ns\/op/d; s/^  //p' | tee "$SCRATCH/figures"
grep -q '^PASS' "$SCRATCH/all" || die "the benchmark failed"

processor=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
{
	say "# The object store against its bounds"
	say
	say "\`make bench\` (scripts/bench-store.sh) on $(date -u +%Y-%m-%dT%H:%MZ), $(uname -srm), ${processor:-processor unknown}, $(stat -f -c %T "${TMPDIR:-/tmp}"), load average at the start $load."
	say "Medians of $rounds rounds; in each round every contender runs once, one after the other. The large object is"
	say "of random bytes and in the page cache. Wanted: durable put 0.5 of cp and sync, verified get 0.85 of bare"
	say "SHA-256, small puts 4 times the synced file for each."
	say
	say '```'
	cat "$SCRATCH/figures"
	say '```'
} >bench/store.md
