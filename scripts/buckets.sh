#!/usr/bin/env bash
# Runs a command with an S3 server (versitygw) in MYTHOS_TEST_S3 and an Azure Blob
# emulator (azurite) in MYTHOS_TEST_AZURE, on 127.0.0.1, in a folder that goes away
# with them. Both are installed from packages into bin/tools if they are missing.
#
#   scripts/buckets.sh COMMAND...
#
# One that cannot be had is said so; tests then skip loudly, and fail in CI.

set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf 'buckets.sh: %s\n' "$*" >&2; }

VERSITYGW=v1.8.0
AZURITE=3.37.0
TOOLS=$PWD/bin/tools

FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/mythos-buckets.XXXXXX")
servers=()
finish() {
	[ ${#servers[@]} = 0 ] || kill "${servers[@]}" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$FOLDER"
}
trap finish EXIT
trap 'exit 130' INT TERM

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

# serve runs a server on a port that it finds free: PORT in the command is
# replaced. It sets PORT.
serve() {
	local log=$1 _
	shift
	for _ in 1 2 3 4 5; do
		PORT=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 40000))
		"${@//PORT/$PORT}" >"$FOLDER/$log.log" 2>&1 &
		if answers "$PORT" $!; then
			servers+=($!)
			return
		fi
		kill $! 2>/dev/null || true
	done
	cat "$FOLDER/$log.log" >&2
	return 1
}

if [ ! -x "$TOOLS/versitygw" ]; then
	GOBIN=$TOOLS go install "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW" >&2 || true
fi
if [ -x "$TOOLS/versitygw" ]; then
	mkdir "$FOLDER/s3"
	SECRET=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	serve s3 env ROOT_ACCESS_KEY=mythos ROOT_SECRET_KEY="$SECRET" "$TOOLS/versitygw" --port 127.0.0.1:PORT posix "$FOLDER/s3"
	export MYTHOS_TEST_S3="http://mythos:$SECRET@127.0.0.1:$PORT"
else
	say "no S3 server: versitygw could not be installed"
fi

AZ=$TOOLS/azurite/node_modules/.bin/azurite-blob
if [ ! -x "$AZ" ] && command -v npm >/dev/null; then
	npm install --silent --no-audit --no-fund --prefix "$TOOLS/azurite" "azurite@$AZURITE" >&2 || true
fi
if [ -x "$AZ" ]; then
	mkdir "$FOLDER/azure"
	KEY=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n' | base64 -w0)
	serve azure env AZURITE_ACCOUNTS="mythos:$KEY" "$AZ" --blobHost 127.0.0.1 --blobPort PORT \
		--silent --skipApiVersionCheck --disableTelemetry --inMemoryPersistence
	# In a URL, = + and / of the key are escaped.
	ESCAPED=$(printf '%s' "$KEY" | sed 's/+/%2B/g; s,/,%2F,g; s/=/%3D/g')
	export MYTHOS_TEST_AZURE="http://mythos:$ESCAPED@127.0.0.1:$PORT/mythos"
else
	say "no Azure Blob service: azurite could not be installed"
fi

"$@"
