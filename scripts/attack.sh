#!/usr/bin/env bash
# Every attack on the sandbox, as root and as a user without rights, each shown to
# work without it first; 1,000 short runs that must leave nothing; then cold
# starts and kills, against bare exec.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

export MYTHOS_SANDBOX_RUNS="${MYTHOS_SANDBOX_RUNS:-1000}"
go_pure test -count=1 -v -timeout 20m ./runtime/runner/sandbox/
echo
echo "cold start to first byte, kill to empty, at load $(cut -d' ' -f1 /proc/loadavg)"
go_pure test -run '^$' -bench 'Cold|Kill|Join' -benchtime "${MYTHOS_SANDBOX_ROUNDS:-25}x" ./runtime/runner/sandbox/ | grep '^  '
