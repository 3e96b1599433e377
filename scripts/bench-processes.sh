#!/usr/bin/env bash
# Processes, native executables and images against bare exec and bare pipes, in
# paired rounds: cold and parked starts, warm round trips, the pool, the end of 64
# processes, and OCI runtimes. Prints the medians and records them in
# bench/processes.md. Linux only; what is not installed has no row.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# -eq 0 ] || die "usage: bench-processes.sh"
scratch
rounds="${MYTHOS_BENCH_ROUNDS:-25}"

# Round trips of two processes depend on whether a wake-up crosses cores, which the
# kernel decides once for each process: on one core they can be compared.
one_core=()
have taskset && one_core=(taskset -c 0)

# rows PACKAGE BENCH [PREFIX...] prints a package's benchmarks, without what Go adds.
rows() {
	local package=$1 bench=$2
	shift 2
	go_pure test -c -o "$SCRATCH/$package.test" "./runtime/runner/$package"
	(cd "runtime/runner/$package" && "$@" "$SCRATCH/$package.test" -test.run '^$' -test.bench "$bench" -test.benchtime "${rounds}x") |
		sed -nE 's/^(Benchmark|  )//p' | sed -E 's/(-[0-9]+)? +\t *[0-9]+\t *[0-9]+ ns\/op//; s/\t */  /g'
}

load=$(cut -d' ' -f1-3 /proc/loadavg)
{
	say "sandbox: start to first byte, of a static program, python3 and node"
	rows sandbox 'Cold|Kill|Join' | grep -v -e '^Cold' -e '^Kill' -e '^Join'
	say
	say "process runner: microseconds; call = the whole runner, ours = its own code on a bare pipe, pipe = a sandboxed pipe, pool = call over ours"
	rows process 'Cold|Kill'
	say
	say "process runner, warm, everything on one core"
	rows process Warm "${one_core[@]+"${one_core[@]}"}"
	say
	say "image runner: a whole call with a fresh container"
	rows image Cold
} | tee "$SCRATCH/figures"
processor=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
{
	say "# Processes against bare exec"
	say
	say "\`make bench\` (scripts/bench-processes.sh) on $(date -u +%Y-%m-%dT%H:%MZ), $(uname -srm), ${processor:-processor unknown}, load average at the start $load."
	say "Medians of $rounds rounds; in each round every kind runs once, beside the bare one. Wanted: cold node 1.5,"
	say "python 2.2 times bare, native 6 ms over it; parked 1.2, 1.5, 2 ms; warm 1.10 times a bare pipe; a pool"
	say "hit 100 us; 64 processes gone in 150 ms; crun 30 ms over bare."
	say
	say '```'
	cat "$SCRATCH/figures"
	say '```'
} >bench/processes.md
