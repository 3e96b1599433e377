#!/usr/bin/env bash
# Explores the model of the ledger (internal/ledgermodel) and then follows the traces
# that it gives through the ledger's own code: model.sh [DEPTH], where DEPTH, 3
# unless told otherwise, bounds the traces that are followed one by one. Fails if
# an invariant does not hold, if a mutant of the model is not found by the
# invariant that it breaks, or if ledger and model differ.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

depth=${1:-3}
case $depth in
'' | *[!0-9]*) die "usage: model.sh [DEPTH]: \"$depth\" is no number" ;;
esac
scratch
go_pure build -o "$SCRATCH/model" ./internal/ledgermodel
"$SCRATCH/model"
say
go_pure test -count=1 -v -run 'Trace|Walks' ./internal/ledgermodel -depth "$depth"
