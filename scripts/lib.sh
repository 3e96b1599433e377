# shellcheck shell=bash
# Sourced by the scripts beside it: where the project is, how steps are named
# and timed, and where the conformance data of others is found.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

say() { printf '%s\n' "$*"; }
die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
in_ci() { [ "${CI:-}" = true ]; }

have go || die "go is not installed: MYTHOS needs Go 1.26 or later, see https://go.dev/dl"

# go_pure runs Go the way the product is built.
go_pure() { CGO_ENABLED=0 go "$@"; }

# build_bin NAME... builds commands into bin/; "mythos version" shows the commit.
build_bin() {
	local name commit
	commit=$(git rev-parse --short HEAD 2>/dev/null) || commit=
	mkdir -p bin
	for name in "$@"; do
		go_pure build -trimpath -ldflags "-X main.build=$commit" -o "bin/$name" "./runtime/cmd/$name"
	done
}

# build_tools builds the pinned development tools into bin/tools.
build_tools() {
	mkdir -p bin/tools
	go_pure -C scripts/tools build -trimpath -o "$ROOT/bin/tools/" mvdan.cc/gofumpt honnef.co/go/tools/cmd/staticcheck
}

# find_shared exports where the vectors that others published are, as absolute
# paths, unless the caller has; ../shared is where they lie beside a checkout.
find_shared() {
	local shared
	shared=$(cd "$ROOT/../shared" 2>/dev/null && pwd) || shared=
	if [ -z "${MYTHOS_CTVP_V02:-}" ] && [ -n "$shared" ] && [ -d "$shared/ctvp-v0.2" ]; then
		export MYTHOS_CTVP_V02="$shared/ctvp-v0.2"
	fi
	if [ -z "${MYTHOS_ED25519_VECTORS:-}" ] && [ -n "$shared" ] && [ -d "$shared/vectors/ed25519" ]; then
		export MYTHOS_ED25519_VECTORS="$shared/vectors/ed25519"
	fi
}

# json_text FILE KEY prints the text value of KEY, the first one in FILE.
json_text() {
	tr -d '\n' <"$1" | grep -o "\"$2\"[[:space:]]*:[[:space:]]*\"[^\"]*\"" | sed -n '1s/.*:[[:space:]]*"\(.*\)"$/\1/p'
}

# scratch makes a folder that goes away when the script ends; SCRATCH names it.
# A script with an EXIT trap of its own calls sweep there.
scratch() {
	SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/mythos.XXXXXX")
	trap sweep EXIT
}
sweep() {
	chmod -R u+w "$SCRATCH" 2>/dev/null || true
	rm -rf "$SCRATCH"
}
