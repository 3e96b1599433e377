#!/usr/bin/env bash
# Runs the fuzz targets of the project for a while:
# fuzz.sh [SECONDS [RECORD [PATTERN]]]. RECORD, a Markdown file, gets a table of
# what ran; PATTERN, an extended regular expression, picks among "PACKAGE NAME".
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

seconds=${1:-5}
record=${2:-}
pattern=${3:-.}
case $seconds in
'' | *[!0-9]*) die "usage: fuzz.sh [SECONDS [RECORD]]: got \"$seconds\" for SECONDS" ;;
esac
scratch

# The list comes from the test binaries; grep only spares building those of
# packages without a target.
packages=()
while read -r pkg dir; do
	if grep -qsE '^func Fuzz' "$dir"/*_test.go; then packages+=("$pkg"); fi
done < <(go_pure list -f '{{.ImportPath}} {{.Dir}}' ./...)
[ ${#packages[@]} -gt 0 ] || die "no fuzz target found"
go_pure test -list '^Fuzz' "${packages[@]}" >"$SCRATCH/list" || {
	cat "$SCRATCH/list"
	die "the tests do not build"
}
awk '/^Fuzz/ { name[n++] = $1 } $1 == "ok" { for (i = 0; i < n; i++) print $2, name[i]; n = 0 }' "$SCRATCH/list" |
	grep -E -- "$pattern" >"$SCRATCH/targets" || true
total=$(wc -l <"$SCRATCH/targets" | tr -d ' ')
[ "$total" -gt 0 ] || die "no fuzz target found"

# attempt PKG NAME fuzzes one target, its output in $SCRATCH/out. Minimising is
# bounded: by default it may take all the time of a short run.
attempt() {
	go_pure test -run '^$' -fuzz "^$2\$" -fuzztime "$3s" -fuzzminimizetime 5x "$1" >"$SCRATCH/out" 2>&1
}

# executions prints how often the target ran.
executions() { grep -oE 'execs: [0-9]+' "$SCRATCH/out" | tail -n 1 | tr -dc 0-9 || true; }

# expired tells whether nothing failed but Go's own stop at the end of the
# time: before Go 1.27 its coordinator can report that as a failure
# (go.dev/issue/75804). A finding always says more.
expired() {
	grep -q '^ *context deadline exceeded$' "$SCRATCH/out" &&
		! grep -qE 'Failing input written|panic|_test\.go:[0-9]+:' "$SCRATCH/out"
}

rows=
n=0
while read -r pkg name; do
	n=$((n + 1))
	tries=1
	until attempt "$pkg" "$name" "$seconds"; do
		if ! expired || [ $tries -ge 3 ]; then
			cat "$SCRATCH/out"
			die "$name in $pkg failed; an input that was written under testdata/fuzz reproduces it with go test"
		fi
		tries=$((tries + 1))
		say "    $name: stopped by go.dev/issue/75804, once more"
	done
	execs=$(executions)
	if [ "${execs:-0}" -eq 0 ] && grep -q 'gathering baseline coverage' "$SCRATCH/out"; then
		# What earlier runs have found takes longer than this to go through.
		attempt "$pkg" "$name" $((seconds * 12)) || die "$name in $pkg failed: $(cat "$SCRATCH/out")"
		execs=$(executions)
	fi
	[ "${execs:-0}" -gt 0 ] || die "$name in $pkg ran nothing"
	printf '  [%d/%d] %-60s %10s execs\n' "$n" "$total" "${pkg##*/mythos/} $name" "$execs"
	rows+="| ${pkg##*/mythos/} | $name | $execs |"$'\n'
done <"$SCRATCH/targets"

if [ -n "$record" ]; then
	mkdir -p "$(dirname "$record")"
	{
		say "# Fuzzing record"
		say
		say "\`scripts/fuzz.sh $*\` on $(date -u +%Y-%m-%d), $(go env GOVERSION) $(go env GOOS)/$(go env GOARCH), ${seconds} s for each target. No finding."
		say
		say "| package | target | executions |"
		say "| --- | --- | ---: |"
		printf '%s' "$rows"
	} >"$record.tmp"
	mv "$record.tmp" "$record"
fi
say "fuzzed $total targets for ${seconds} s each: no finding"
