#!/usr/bin/env bash
# Builds mythos, packs demo-001, runs it, and shows what the run left behind.
# MYTHOS_HOME holds keys, store and ledger; without it, dist/demo-home, which
# is kept, so that a second demo shows the recorded effect instead of a new
# one. Needs nothing but Go.
CALLER=$PWD
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

MYTHOS_HOME="${MYTHOS_HOME:-$ROOT/dist/demo-home}"
case $MYTHOS_HOME in
/*) ;;
*) MYTHOS_HOME="$CALLER/$MYTHOS_HOME" ;;
esac
export MYTHOS_HOME
run_id=demo-001
mkdir -p dist "$MYTHOS_HOME"
out=$(mktemp -d dist/demo.XXXXXX)
trap 'rm -rf "$out"' EXIT
log="$MYTHOS_HOME/$run_id.module.log"

# show prints a command as a user would type it.
show() { printf '\n$ %s\n' "$*"; }
lines() { if [ -f "$log" ]; then wc -l <"$log" | tr -d ' '; else echo 0; fi; }

say "Building bin/mythos ..."
build_bin mythos

show mythos pack packages/demo-001 -o dist
bin/mythos pack packages/demo-001 -o dist --json >"$out/pack.json"
package=$(json_text "$out/pack.json" folder) || die "pack --json names no folder: $(cat "$out/pack.json")"
for key in package_id manifest_cid archive archive_sha256; do
	printf '%-15s %s\n' "$key" "$(json_text "$out/pack.json" "$key")"
done

before=$(lines)
show mythos run "${package#"$ROOT"/}" --run-id "$run_id" --module-log "${log#"$ROOT"/}" --json
bin/mythos run "$package" --run-id "$run_id" --module-log "$log" --json >"$out/run.json"
after=$(lines)
for key in result result_hash seal; do
	printf '%-15s %s\n' "$key" "$(json_text "$out/run.json" "$key")"
done

show mythos receipts list
bin/mythos receipts list
show mythos ledger list
bin/mythos ledger list

say
if grep -q '"replayed"[[:space:]]*:[[:space:]]*true' "$out/run.json"; then
	[ "$after" -eq "$before" ] || die "the receipt was replayed, yet the module ran: its log grew from $before to $after lines"
	say "Replayed: the ledger had this effect, so the module did not run; its log still has $after line(s)."
	say "Delete ${MYTHOS_HOME#"$ROOT"/} to start afresh."
else
	[ "$after" -gt "$before" ] || die "the effect is new, yet the module logged nothing"
	say "The module ran once; its log has $after line(s)."
	say "Run make demo again: the same receipts come back, and the module does not run."
fi
