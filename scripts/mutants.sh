#!/usr/bin/env bash
# Asks whether the conformance vectors would notice a wrong implementation:
# mutants.sh [N [SEED]] builds the first N mutants of the verifying code that
# compile, in the order of SEED, and runs the vectors alone against each. What
# survives must be listed in ctvp/README.md; see internal/mutants.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

n=${1:-200}
seed=${2:-1}
case $n$seed in
*[!0-9]*) die "usage: mutants.sh [N [SEED]]: got \"$n\" and \"$seed\"" ;;
esac
scratch
go_pure build -o "$SCRATCH/mutants" ./internal/mutants
nice -n "${NICE:-10}" "$SCRATCH/mutants" -n "$n" -seed "$seed"
