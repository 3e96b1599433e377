#!/usr/bin/env bash
# Pulls a package of SIZE incompressible bytes from a registry on loopback, killing
# the pulling process five times at random, and records what it shows:
#
#   big-pull.sh [SIZE [RECORD]]
#
# SIZE is a number with M or G behind it (10G unless told otherwise), which the disk
# below TMPDIR must have; RECORD, a Markdown file, gets the figures. It fails if more
# than the four chunks in flight are fetched again after a kill, by the server's log,
# or if a process has more than 200 MiB.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

size=${1:-10G}
record=${2:-}
case $size in
*[!0-9]*[MG] | [MG] | *[!MG]) die "usage: big-pull.sh [SIZE [RECORD]]: SIZE is a number with M or G" ;;
*G) mib=$((${size%G} * 1024)) ;;
*M) mib=${size%M} ;;
esac
[ $# -le 2 ] || die "usage: big-pull.sh [SIZE [RECORD]]"

scratch
free=$(df -Pm "$SCRATCH" | awk 'NR == 2 {print $4}')
[ "$free" -gt $((mib + 1024)) ] || die "$size do not fit below $SCRATCH: $free MiB are free; set TMPDIR"
go_pure test -c -o "$SCRATCH/pairs" ./internal/pairs
status=0
(cd internal/pairs && "$SCRATCH/pairs" -test.run '^TestBigPull$' -test.v -test.timeout 6h -big "$mib" -bigdir "$SCRATCH/store") | tee "$SCRATCH/out" || status=$?
grep -q '^--- PASS: TestBigPull' "$SCRATCH/out" || status=1
if [ -n "$record" ]; then
	mkdir -p "$(dirname "$record")"
	{
		say "# A large pull, killed five times"
		say
		say "\`scripts/big-pull.sh $size\` on $(date -u +%Y-%m-%d), $(go env GOVERSION) $(go env GOOS)/$(go env GOARCH), $(nproc) processors ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)); it ended with status $status after $SECONDS s. Registry and pulling process share the processors. The peak is VmHWM of the pulling process; chunks are counted by the server."
		say
		say '```'
		sed -n 's/^ *big_linux_test.go:[0-9]*: //p' "$SCRATCH/out"
		say '```'
	} >"$record.tmp"
	mv "$record.tmp" "$record"
fi
exit "$status"
