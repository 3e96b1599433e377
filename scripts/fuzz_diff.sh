#!/usr/bin/env bash
# Compares the TypeScript and Python implementations with Go on generated cases:
# fuzz_diff.sh [CASES [SEEDS [RECORD]]], 5000 of seed 1 unless told otherwise.
# SEEDS are words of one argument; RECORD, a Markdown file, gets what was run.
# Disagreements are left in dist/fuzz-diff as vector candidates. What is not
# installed here is skipped loudly; where CI=true it fails.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cases=${1:-5000}
seeds=${2:-1}
record=${3:-}
[ $# -le 3 ] || die "usage: fuzz_diff.sh [CASES [SEEDS [RECORD]]]"
for n in $cases $seeds; do
	case $n in
	'' | *[!0-9]*) die "usage: fuzz_diff.sh [CASES [SEEDS [RECORD]]]: \"$n\" is no number" ;;
	esac
done

impls=()
missing() {
	say "!! SKIPPED: $1 is not compared: $2 is not installed"
	if in_ci; then die "$2 is not installed"; fi
}
if have node && have npm; then
	(cd sdk/ts && { [ -d node_modules ] || npm ci --silent --no-audit --no-fund; } && npm run --silent build)
	impls+=(--impl "node '$ROOT/sdk/ts/conformance/adapter.mjs'")
else
	missing TypeScript "Node 20 or later with npm"
fi
if have python3; then
	export PYTHONPATH="$ROOT/sdk/python"
	impls+=(--impl 'python3 -m mythos.conformance')
else
	missing Python "Python 3.10 or later"
fi
[ ${#impls[@]} -gt 0 ] || die "there is nothing to compare with"
build_bin mythos
scratch

signatures=$(have python3 && python3 -c 'from mythos import ed25519; print(ed25519.BACKEND)' || say none)
for seed in $seeds; do
	start=$SECONDS
	bin/mythos ctvp fuzz "${impls[@]}" --cases "$cases" --seed "$seed" --save dist/fuzz-diff >"$SCRATCH/$seed" || {
		cat "$SCRATCH/$seed"
		die "seed $seed found disagreements, or could not be run; candidates are in dist/fuzz-diff"
	}
	tail -n 4 "$SCRATCH/$seed"
	printf '%d s\n' $((SECONDS - start)) | tee "$SCRATCH/$seed.time"
done

if [ -n "$record" ]; then
	mkdir -p "$(dirname "$record")"
	{
		say "# Differential fuzzing record"
		say
		say "\`scripts/fuzz_diff.sh $cases \"$seeds\"\` on $(date -u +%Y-%m-%d), $(go env GOVERSION) $(go env GOOS)/$(go env GOARCH), node $(have node && node --version || say none), $(have python3 && python3 --version || say 'no Python') with Ed25519 by: $signatures."
		say "Each case is answered by Go and by every implementation named below; verdict, code, offset and output must agree."
		for seed in $seeds; do
			say
			say "## Seed $seed ($(cat "$SCRATCH/$seed.time"))"
			say
			say '```'
			cat "$SCRATCH/$seed"
			say '```'
		done
	} >"$record.tmp"
	mv "$record.tmp" "$record"
fi
