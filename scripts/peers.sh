#!/usr/bin/env bash
# Runs a command with every server that packages are moved between: those of
# buckets.sh, and an OCI registry (the one of the distribution project) without TLS in
# MYTHOS_TEST_OCI, HOST:PORT. oras and skopeo are put where tests find them.
#
#   scripts/peers.sh COMMAND...
#
# The registry is Debian's docker-registry, which installs in seconds; without
# Debian's packages a newer one is built, which takes minutes. What cannot be had is
# said so; tests then skip loudly, and fail in CI.

set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf 'peers.sh: %s\n' "$*" >&2; }

DISTRIBUTION=v3.1.2
ORAS=v1.3.6
TOOLS=$PWD/bin/tools
export PATH="$TOOLS:$PATH"

FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/mythos-peers.XXXXXX")
server=
finish() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$FOLDER"
}
trap finish EXIT
trap 'exit 130' INT TERM

have() { command -v "$1" >/dev/null 2>&1; }

# debian PACKAGES... installs them where that is root's to do; servers among them
# are not started.
debian() {
	if [ "$(id -u)" -ne 0 ] || ! have apt-get; then
		return
	fi
	if ! { apt-get update -qq && apt-get install -qq -y --no-install-recommends "$@"; } >"$FOLDER/apt.log" 2>&1; then
		tail -n 3 "$FOLDER/apt.log" >&2
	fi
}

# install MODULE@VERSION builds a program into bin/tools.
install() { CGO_ENABLED=0 GOBIN=$TOOLS go install "$1" >&2 || say "$1 could not be installed"; }

# answers waits until something listens on a port of 127.0.0.1.
answers() {
	local _
	for _ in $(seq 100); do
		if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
			return
		fi
		kill -0 "$2" 2>/dev/null || return 1
		sleep 0.1
	done
	return 1
}

# serve runs the registry on a port that it finds free, and sets PORT.
serve() {
	local _
	mkdir "$FOLDER/registry"
	for _ in 1 2 3 4 5; do
		PORT=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 40000))
		printf '%s\n' 'version: 0.1' 'log: {level: error}' \
			"storage: {filesystem: {rootdirectory: $FOLDER/registry}, delete: {enabled: true}}" \
			"http: {addr: \"127.0.0.1:$PORT\"}" >"$FOLDER/registry.yml"
		"$1" serve "$FOLDER/registry.yml" >"$FOLDER/registry.log" 2>&1 &
		server=$!
		if answers "$PORT" "$server"; then
			return
		fi
		kill "$server" 2>/dev/null || true
		server=
	done
	cat "$FOLDER/registry.log" >&2
	return 1
}

missing=()
have registry || have docker-registry || missing+=(docker-registry)
have skopeo || missing+=(skopeo)
[ ${#missing[@]} = 0 ] || debian "${missing[@]}"
have registry || have docker-registry || install "github.com/distribution/distribution/v3/cmd/registry@$DISTRIBUTION"
have oras || install "oras.land/oras/cmd/oras@$ORAS"
have skopeo || say "no skopeo"
have oras || say "no oras"

if have registry; then
	serve registry
elif have docker-registry; then
	serve docker-registry
fi
if [ -n "$server" ]; then
	export MYTHOS_TEST_OCI="127.0.0.1:$PORT"
else
	say "no OCI registry: neither registry nor docker-registry could be installed"
fi

scripts/buckets.sh "$@"
