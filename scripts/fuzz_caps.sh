#!/usr/bin/env bash
# Compares two evaluators of capability chains on mutants of valid ones:
# fuzz_caps.sh [CHAINS [SEED [RECORD]]], 100000 of seed 1 unless told otherwise. See
# internal/capcheck. RECORD, a Markdown file, gets what was run.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

chains=${1:-100000}
seed=${2:-1}
record=${3:-}
for n in "$chains" "$seed"; do
	case $n in
	'' | *[!0-9]*) die "usage: fuzz_caps.sh [CHAINS [SEED [RECORD]]]: \"$n\" is no number" ;;
	esac
done

# The command is built over a copy of package sig that remembers verdicts; no file of
# the project changes.
scratch
strict=runtime/libs/sig/strict.go
sed 's/^func VerifyStrict(/func verifyStrict(/' "$strict" >"$SCRATCH/strict.go"
grep -q '^func verifyStrict(' "$SCRATCH/strict.go" || die "$strict has no VerifyStrict"
printf '{"Replace": {"%s": "%s", "%s": "%s"}}\n' "$ROOT/$strict" "$SCRATCH/strict.go" \
	"$ROOT/runtime/libs/sig/memory.go" "$ROOT/internal/capcheck/overlay/memory.go.txt" >"$SCRATCH/overlay.json"
go_pure build -overlay "$SCRATCH/overlay.json" -tags sigmemory -o "$SCRATCH/capcheck" ./internal/capcheck
"$SCRATCH/capcheck" -chains "$chains" -seed "$seed" | tee "$SCRATCH/out"

if [ -n "$record" ]; then
	mkdir -p "$(dirname "$record")"
	{
		say "# Capability chains: two evaluators"
		say
		say "\`scripts/fuzz_caps.sh $chains $seed\` on $(date -u +%Y-%m-%d), $(go env GOVERSION) $(go env GOOS)/$(go env GOARCH), $(nproc) cores."
		say "Code, link and rule of every verdict of \`runtime/libs/caps\` and of \`internal/capcheck/second\` are equal."
		say
		say '```'
		cat "$SCRATCH/out"
		say '```'
	} >"$record.tmp"
	mv "$record.tmp" "$record"
fi
