#!/usr/bin/env bash
# The ledger beside its peers, in paired rounds: register and commit pairs beside a
# bare log and bbolt, on PostgreSQL beside plain inserts, workflows beside DBOS
# Transact for Go, and a ledger of a million entries opened and verified. Prints the
# tables and records them in bench/ledger.md; about 12 minutes, with a private
# PostgreSQL server. Arguments are flags of "bench ledger", such as
#
#   scripts/bench-ledger.sh -rounds 2 -scale 0.2 -workflows 3s -entries 50000
#
# for a trial, which still writes the record, or -only dbos, which does not.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scratch
CGO_ENABLED=0 go -C bench build -o "$SCRATCH/bench" .
cd bench || exit 1
../scripts/postgres.sh "$SCRATCH/bench" ledger "$@"
