#!/usr/bin/env bash
# Kills executors and looks at what is left:
#
#   crash.sh [CRASHES [RETRIES [RECORD [LANES]]]]
#
# kills an executor CRASHES times on each journal (100 unless told otherwise), cuts
# the power and fails system calls of the embedded one, retries one key RETRIES
# times from 8 processes (10000), and performs the negative controls, each of which
# must be found. It ends with one line of JSON for each journal and fails if
# anything is wrong. RECORD, a Markdown file, gets what was shown. LANES campaigns (1)
# share the crashes of a journal at the same time, each with a world and a server of its
# own. MYTHOS_CRASH_SEED chooses what is left to chance.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

crashes=${1:-100}
retries=${2:-10000}
record=${3:-}
lanes=${4:-1}
seed=${MYTHOS_CRASH_SEED:-1}
[ $# -le 4 ] || die "usage: crash.sh [CRASHES [RETRIES [RECORD [LANES]]]]"
for n in "$crashes" "$retries" "$lanes" "$seed"; do
	case $n in
	'' | *[!0-9]*) die "usage: crash.sh [CRASHES [RETRIES [RECORD [LANES]]]]: \"$n\" is no number" ;;
	esac
done

# What is not here makes the run fail: each part shows something that others do not.
have strace || die "strace is not installed: it shows syncs and fails system calls"
scratch
go_pure build -trimpath -o "$SCRATCH/crash" ./internal/crash
go_pure build -trimpath -ldflags='-s -w' -o "$SCRATCH/tool" ./internal/crash/tool

run=("$SCRATCH/crash" -crashes "$crashes" -retries "$retries" -lanes "$lanes" -seed "$seed" -tool "$SCRATCH/tool" -postgres "$ROOT/scripts/postgres.sh")
status=0
"${run[@]}" | tee "$SCRATCH/out" || status=$?
if [ -n "$record" ]; then
	mkdir -p "$(dirname "$record")"
	{
		say "# Crash record"
		say
		say "\`scripts/crash.sh $crashes $retries\` in $lanes lanes with seed $seed on $(date -u +%Y-%m-%d), $(go env GOVERSION) $(go env GOOS)/$(go env GOARCH), $(nproc) processors ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)), Linux $(uname -r), $(strace -V | head -n 1); it ended with status $status after $SECONDS s."
		say
		say '```'
		cat "$SCRATCH/out"
		say '```'
	} >"$record.tmp"
	mv "$record.tmp" "$record"
fi
exit "$status"
