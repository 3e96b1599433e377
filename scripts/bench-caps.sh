#!/usr/bin/env bash
# What capabilities cost: a fresh chain against bare signature verifications, one that
# is known, all gates before an effect's register, and spending in the embedded
# journal. Prints the figures and records them in bench/caps.md.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# -eq 0 ] || die "usage: bench-caps.sh"
# "At most 10 % of an effect on PostgreSQL" needs one.
[ -n "${MYTHOS_TEST_POSTGRES:-}" ] || CI=true exec scripts/postgres.sh scripts/bench-caps.sh # CI=true: no server is an error
scratch
load=$(cut -d' ' -f1-3 /proc/loadavg)

# rows PACKAGE BENCH TIME prints a package's benchmarks.
rows() {
	go_pure test -run '^$' -bench "$2" -benchtime "$3" -count 3 "./$1" | sed -nE 's/^Benchmark//p'
}

{
	rows runtime/libs/caps 'Fresh|Cached' 1s
	rows runtime/executor Gates 20000x
	rows runtime/executor Spend 10000x # so many that one checkpoint more does not count
	rows runtime/journal/postgres Spend 1000x | sed 's|^|PostgreSQL/|'
} | tee "$SCRATCH/figures"
processor=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
{
	say "# What capabilities cost"
	say
	say "scripts/bench-caps.sh on $(date -u +%Y-%m-%dT%H:%MZ), $(uname -sr) $(uname -m), ${processor:-unknown processor}, load average at the start $load."
	say "Three rounds of each. Wanted: a fresh chain of 8 links in the time of at most 9 signatures, one"
	say "that is known in at most 2 us, all gates of an effect in at most 15 us of CPU and at most 10 % of"
	say "an effect on PostgreSQL. Spend is a whole register in the embedded journal (CPU), and a register"
	say "with its commit on PostgreSQL (median), without and with 1, 3 and 8 links in turn: what the links"
	say "add is their cost, beside that of Gates."
	say
	say '```'
	cat "$SCRATCH/figures"
	say '```'
} > bench/caps.md
say "recorded in bench/caps.md"
