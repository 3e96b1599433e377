#!/usr/bin/env bash
# The registry beside distribution's, on the same file system over loopback: rates of
# PUT and GET of 1 KiB, 64 KiB and 16 MiB at 1 and 16 clients, in interleaved rounds,
# and how often each syncs for one small PUT. Prints the medians and records them in
# bench/registry.md. TMPDIR decides which disk is measured; MYTHOS_BENCH_ROUNDS and
# MYTHOS_BENCH_MS how long. "--try" records nothing.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

record=bench/registry.md
[ "${1:-}" != --try ] || { record=/dev/null && shift; }
[ $# -eq 0 ] || die "usage: bench-registry.sh [--try]"
scratch
DISTRIBUTION=v3.1.2
TOOLS=$PWD/bin/tools/distribution-$DISTRIBUTION
[ -x "$TOOLS/registry" ] || GOBIN=$TOOLS go install "github.com/distribution/distribution/v3/cmd/registry@$DISTRIBUTION" >&2
export MYTHOS_BENCH_ROUNDS="${MYTHOS_BENCH_ROUNDS:-5}" MYTHOS_BENCH_MS="${MYTHOS_BENCH_MS:-1000}" MYTHOS_HOME="$SCRATCH/home" OTEL_TRACES_EXPORTER=none

servers=()
finish() {
	[ ${#servers[@]} = 0 ] || kill "${servers[@]}" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$SCRATCH"
}
trap finish EXIT

go_pure build -trimpath -o "$SCRATCH/mythos" ./runtime/cmd/mythos
"$SCRATCH/mythos" registry serve --listen 127.0.0.1:0 --dir "$SCRATCH/ours" --open >"$SCRATCH/ready" &
servers+=($!)
port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 40000))
cat >"$SCRATCH/distribution.yml" <<-YML
	version: 0.1
	storage: {filesystem: {rootdirectory: $SCRATCH/theirs}, cache: {blobdescriptor: inmemory}}
	http: {addr: "127.0.0.1:$port"}
	log: {level: error, accesslog: {disabled: true}}
YML
"$TOOLS/registry" serve "$SCRATCH/distribution.yml" >"$SCRATCH/theirs.log" 2>&1 &
servers+=($!)
for _ in $(seq 100); do
	[ -s "$SCRATCH/ready" ] && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
	sleep 0.1
done
MYTHOS_BENCH_REGISTRY=$(cut -d' ' -f2 "$SCRATCH/ready")
MYTHOS_BENCH_DISTRIBUTION=http://127.0.0.1:$port
export MYTHOS_BENCH_REGISTRY MYTHOS_BENCH_DISTRIBUTION
curl -fsS -o /dev/null "$MYTHOS_BENCH_DISTRIBUTION/v2/" || die "distribution's registry does not answer: $(cat "$SCRATCH/theirs.log")"

load=$(cut -d' ' -f1-3 /proc/loadavg)
go_pure test -c -o "$SCRATCH/registry.test" ./registry
"$SCRATCH/registry.test" -test.run '^$' -test.bench Peers -test.benchtime 1x |
	tee "$SCRATCH/all" | sed -n '/ns\/op/d; s/^  //p' | tee "$SCRATCH/figures"
grep -q '^PASS' "$SCRATCH/all" || die "the benchmark failed"

# syncs counts how often a process syncs while a command runs.
syncs() {
	local pid=$1 tracer
	shift
	strace -f -qq -e trace=fsync,fdatasync,sync,syncfs,sync_file_range -o "$SCRATCH/trace" -p "$pid" 2>"$SCRATCH/strace.log" &
	tracer=$!
	for _ in $(seq 100); do # until it is attached
		grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$pid/status" && break
		sleep 0.05
	done
	"$@"
	kill "$tracer"
	wait "$tracer" 2>/dev/null || true
	grep -c 'sync' "$SCRATCH/trace" || true
}

put_ours() { curl -fsS -o /dev/null -T "$1" "$MYTHOS_BENCH_REGISTRY/objects/sha256:$2"; }
put_theirs() {
	local location
	location=$(curl -fsS -o /dev/null -D - -X POST "$MYTHOS_BENCH_DISTRIBUTION/v2/bench/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
	curl -fsS -o /dev/null -T "$1" -H 'Content-Type: application/octet-stream' "$location&digest=sha256:$2"
}
if command -v strace >/dev/null; then
	head -c 1024 /dev/urandom >"$SCRATCH/small"
	hash=$(sha256sum "$SCRATCH/small" | cut -d' ' -f1)
	say "syncs of one PUT of 1 KiB: mythos $(syncs "${servers[0]}" put_ours "$SCRATCH/small" "$hash"), distribution $(syncs "${servers[1]}" put_theirs "$SCRATCH/small" "$hash")" | tee -a "$SCRATCH/figures"
else
	say "syncs of one PUT: not counted, for there is no strace" | tee -a "$SCRATCH/figures"
fi

processor=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
{
	say "# The registry beside distribution's"
	say
	say "scripts/bench-registry.sh on $(date -u +%Y-%m-%dT%H:%MZ), $(uname -srm), ${processor:-processor unknown}, $(stat -f -c %T "${TMPDIR:-/tmp}"), load average at the start $load."
	say "Requests a second over loopback, medians of $MYTHOS_BENCH_ROUNDS rounds of $MYTHOS_BENCH_MS ms for each, interleaved; the ratio is the median of"
	say "those of the rounds. Clients and both servers share the machine. distribution $DISTRIBUTION with its file system"
	say "storage and its cache in memory, whose upload of a blob is two requests. Wanted: 2 times its rate for 1 KiB, not less for 16 MiB."
	say
	say '```'
	cat "$SCRATCH/figures"
	say '```'
} >"$record"
