#!/usr/bin/env bash
# Runs the demo in an empty home: a new effect, then the same one replayed,
# then, with the ledger gone, a new one again.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scratch
export MYTHOS_HOME="$SCRATCH/home"
log="$MYTHOS_HOME/demo-001.module.log"

# expect COUNT WORDS runs the demo and checks its last words and the log.
expect() {
	scripts/demo.sh >"$SCRATCH/out" || {
		cat "$SCRATCH/out"
		die "the demo failed"
	}
	grep -q "$2" "$SCRATCH/out" || {
		cat "$SCRATCH/out"
		die "the demo does not say \"$2\""
	}
	[ "$(wc -l <"$log" | tr -d ' ')" -eq "$1" ] || die "the module log has $(wc -l <"$log") lines, want $1"
}

expect 1 'The module ran once'
expect 1 'Replayed'
ledger=$(find "$MYTHOS_HOME" -type f -name 'ledger.db')
[ -n "$ledger" ] || die "no ledger.db under MYTHOS_HOME"
rm -f "$ledger" "$ledger-wal" "$ledger-shm"
expect 2 'The module ran once'
say "  new, replayed, and new again without the ledger"
