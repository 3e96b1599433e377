#!/usr/bin/env bash
# Runs the conformance program of the OCI distribution spec, built from its
# package at a pinned version, against mythos registry serve: the tests of version
# 1.1, those of the next version too, and, against our OCI API set to take such,
# those of manifests of which parts are missing. It lists what was skipped or
# disabled, each with its reason, and fails on any failure and on a skip without
# one.
#
#   scripts/oci-conformance.sh                     servers of our own, on 127.0.0.1
#   scripts/oci-conformance.sh HOST:PORT           a running one, without TLS
#   RECORD=bench/oci-conformance.md ...            writes the totals there

set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf 'oci-conformance.sh: %s\n' "$*" >&2; }

MODULE=github.com/opencontainers/distribution-spec/conformance
VERSION=v0.0.0-20260831232431-97274622c111
TOOL=$PWD/bin/tools/oci-conformance-$VERSION/conformance

# What the program's own defaults leave out of a run, and a later run has.
reason() {
	case $1 in
	*"/post cancel/blob-post-cancel" | "API: Blob upload cancel")
		echo "not of version 1.1: cancelling an upload is of the next one" ;;
	"API: Manifest put with tag params" | "Data: Tag Param" | "Data: Tag Param sha512")
		echo "not of version 1.1: tags in the query of a push are of the next one" ;;
	"Data: Sparse Manifests")
		echo "off by default, for a registry may refuse what names missing parts, as ours does" ;;
	*) return 1 ;;
	esac
}

FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/mythos-oci.XXXXXX")
server=
finish() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$FOLDER"
}
trap finish EXIT
trap 'exit 130' INT TERM

if [ ! -x "$TOOL" ]; then
	CGO_ENABLED=0 GOBIN=$(dirname "$TOOL") go install "$MODULE@$VERSION" >&2
fi

# serve starts a server over a new folder, which replaces DIR in its command. It
# sets ADDRESS.
serve() {
	local _
	if [ -n "$server" ]; then
		kill "$server"
		wait "$server" || true
	fi
	rm -rf "$FOLDER/data"
	mkdir "$FOLDER/data"
	MYTHOS_HOME=$FOLDER/data/home "${@//DIR/$FOLDER/data}" >"$FOLDER/ready" 2>"$FOLDER/log" &
	server=$!
	for _ in $(seq 100); do
		if grep -q '^serving http://' "$FOLDER/ready"; then
			ADDRESS=$(sed -n 's,^serving http://,,p' "$FOLDER/ready")
			return
		fi
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	cat "$FOLDER/log" >&2
	return 1
}

# total prints one of the numbers of a run.
total() { sed -n "s/^<testsuites .*[ ]$1=\"\([0-9]*\)\".*/\1/p" "$FOLDER/results/junit.xml"; }

# left_out prints the names of tests, APIs and data that did not run.
left_out() {
	sed -n 's/.*<testcase name="\([^"]*\)".* status="skipped".*/\1/p' "$FOLDER/results/junit.xml"
	awk '/^apis:/ { kind = "API" } /^data:/ { kind = "Data" }
		/^ .*: (Disabled|Skip)$/ { sub(/^ */, ""); sub(/: [A-Z][a-z]*$/, ""); print kind ": " $0 }' "$FOLDER/results/results.yaml"
}

failed=no
# conformance runs the program with the settings given and adds to the report.
conformance() {
	local title=$1 code=0 failures errors skipped disabled tests name why
	shift
	rm -rf "$FOLDER/results"
	env "$@" OCI_CONFIGURATION= OCI_REGISTRY="$ADDRESS" OCI_TLS=disabled OCI_RESULTS_DIR="$FOLDER/results" \
		"$TOOL" >"$FOLDER/output" 2>&1 || code=$?
	if [ ! -s "$FOLDER/results/junit.xml" ]; then
		cat "$FOLDER/output" >&2
		exit 1
	fi
	tests=$(total tests) failures=$(total failures) errors=$(total errors) skipped=$(total skipped) disabled=$(total disabled)
	: "${failures:=0}" "${errors:=0}" "${skipped:=0}" "${disabled:=0}"
	if [ "$code$failures$errors" != 000 ] || [ -z "$tests" ]; then
		failed=yes
		cat "$FOLDER/output" >&2
	fi
	if [ -n "$server" ] && [ -s "$FOLDER/log" ]; then
		failed=yes
		cat "$FOLDER/log" >&2
	fi
	{
		printf '\n## %s\n\n' "$title"
		printf '%s of %s pass, %s fail, %s errors, %s skipped, %s disabled.\n' \
			$((tests - failures - errors - skipped - disabled)) "$tests" "$failures" "$errors" "$skipped" "$disabled"
		left_out | while IFS= read -r name; do
			why=$(reason "$name") || why="NO REASON"
			printf -- '\n- %s: %s' "$name" "$why"
		done
	} >>"$FOLDER/report"
	printf '\n' >>"$FOLDER/report"
}

{
	echo '# Conformance of the OCI API'
	echo
	echo "- command: scripts/oci-conformance.sh"
	echo "- date: $(date -u +%Y-%m-%dT%H:%M:%SZ)"
	echo "- program: $MODULE $VERSION"
} >"$FOLDER/report"

run_both() {
	conformance "Version 1.1" OCI_VERSION=1.1
	conformance "Version 1.1 and the next" OCI_VERSION=dev
}
if [ $# -gt 0 ]; then
	ADDRESS=$1
	run_both
else
	CGO_ENABLED=0 go build -o "$FOLDER/" ./runtime/cmd/mythos ./registry/ociapi/serve
	serve "$FOLDER/mythos" registry serve --listen 127.0.0.1:0 --dir DIR --open
	run_both
	serve "$FOLDER/serve" -dir DIR -sparse
	conformance "All of it, sparse manifests too" OCI_VERSION=dev OCI_DATA_SPARSE=true
fi

cat "$FOLDER/report"
if [ -n "${RECORD:-}" ]; then
	cp "$FOLDER/report" "$RECORD"
fi
if grep -q 'NO REASON' "$FOLDER/report"; then
	say "something was left out for no known reason"
	failed=yes
fi
[ "$failed" = no ]
