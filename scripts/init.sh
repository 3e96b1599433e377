#!/usr/bin/env bash
# For every language, in an empty HOME and MYTHOS_HOME: "mythos init", the
# commands that it printed, which must end with a receipt, and the commands under
# "Tests" in the README that it wrote: init.sh [go|rust|c|ts|python|as ...]. What
# is not installed is skipped loudly; where CI=true that fails. rustup looks for
# its toolchains in RUSTUP_HOME, which therefore stays what it is. The compilers
# of TypeScript and AssemblyScript come from the npm registry.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scratch
[ -x bin/mythos ] || build_bin mythos
user_home=${HOME:-/nonexistent}

missing() {
	say "!! SKIPPED: $1: $2"
	! in_ci || die "$1: $2"
}

# clean COMMAND... runs a command with nothing of the caller's environment but
# PATH and how to reach the network.
clean() {
	local vars=("PATH=$ROOT/bin:$PATH" "HOME=$base/home" "MYTHOS_HOME=$base/mythos") name
	for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy SSL_CERT_FILE SSL_CERT_DIR TMPDIR MYTHOS_NODE MYTHOS_PYTHON3 WASI_SDK_PATH; do
		[ -z "${!name:-}" ] || vars+=("$name=${!name}")
	done
	[ "$lang" != rust ] || vars+=("RUSTUP_HOME=${RUSTUP_HOME:-$user_home/.rustup}")
	env -i "${vars[@]}" "$@"
}

# commands FILE NAME runs the lines of a file in the shell that people use.
commands() {
	local status=0
	(cd "$base/work" && clean sh -eu "$1") >"$base/$2" 2>&1 || status=$?
	[ $status -eq 0 ] || cat "$base/$2"
	return $status
}

# one LANGUAGE goes the whole way.
one() {
	lang=$1
	base=$SCRATCH/$lang
	mkdir -p "$base/home" "$base/mythos" "$base/work"
	local folder=greet-$lang
	(cd "$base/work" && clean mythos init --lang "$lang" "$folder") >"$base/out" 2>"$base/err" || die "init: $(cat "$base/err")"
	if grep -q ' was not found: ' "$base/err"; then
		missing "$lang" "$(cat "$base/err")"
		return
	fi
	# "mythos dev ." would not end; the README runs it with --once.
	sed -n '/^next$/,$s/^  //p' "$base/out" | grep -v '^mythos dev ' >"$base/next"
	[ "$(wc -l <"$base/next")" -eq 3 ] || die "init printed: $(cat "$base/out")"
	if ! commands "$base/next" ran; then
		! grep -q '(sandbox_unavailable)' "$base/ran" || {
			missing "$lang" "no sandbox for processes here; see mythos doctor"
			return
		}
		die "$lang: the commands that init printed failed"
	fi
	grep -q '^"Hello, Ada!"$' "$base/ran" || die "$lang: no greeting: $(cat "$base/ran")"
	local receipt
	receipt=$(sed -n "s|^\(sha256:[0-9a-f]*\) *$folder/hello *200  no\$|\1|p" "$base/ran")
	[ ${#receipt} -eq 71 ] || die "$lang: no receipt: $(cat "$base/ran")"
	clean mythos receipts verify "$receipt" >"$base/verified" || die "$lang: $(cat "$base/verified")"
	{
		echo "cd $folder"
		sed -n '/^## Tests$/,/^## Toolchain$/p' "$base/work/$folder/README.md" | sed -n '/^```$/,/^```$/p' | grep -v '^```$'
	} >"$base/tests"
	[ "$(grep -c '^mythos dev ' "$base/tests")" -eq 2 ] || die "$lang: the README has no tests"
	commands "$base/tests" tested || die "$lang: the commands under Tests in the README failed"
	grep -q ' 422  no$' "$base/tested" || die "$lang: an empty name is not refused: $(cat "$base/tested")"
	say "  $lang $receipt"
}

[ $# -gt 0 ] || set -- go rust c ts python as
for name in "$@"; do one "$name"; done
