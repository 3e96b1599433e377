#!/usr/bin/env bash
# Builds and tests the guest SDKs for Go, Rust, C and AssemblyScript over the
# conformance vectors, then sends the same requests through the echo tools and
# the examples of all languages: sdks.sh [go|rust|c|as|parity ...]; without
# arguments all of it. The commands are those of the README of each SDK. What is
# not installed is skipped loudly; where CI=true that fails. As root it installs
# what Debian's packages provide.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scratch
lines=$SCRATCH/vectors.txt
echo_guests=()
sum_guests=()

missing() {
	say "!! SKIPPED: $1: $2"
	! in_ci || die "$1: $2"
}

# packages NAME... installs them where that is root's to do.
packages() {
	[ "$(id -u)" -eq 0 ] && have apt-get || return 0
	say "Installing $* from Debian's packages ..."
	if ! { apt-get update -qq && apt-get install -qq -y "$@" >/dev/null; }; then say "apt-get failed"; fi
}

# guest NAME KIND ECHO SUM notes two built guests for the comparison.
guest() {
	echo_guests+=("$1=$2:$3")
	sum_guests+=("$1=$2:$4")
}

flags=(-trimpath -buildvcs=false '-ldflags=-s -w -buildid=')

go_sdk() {
	go_pure test ./sdk/go/...
	local name
	for name in echo=./tools/echo/go sum=./sdk/go/example; do
		GOOS=wasip1 GOARCH=wasm go_pure build -buildmode=c-shared "${flags[@]}" -o "$SCRATCH/${name%%=*}_go.wasm" "${name#*=}"
		go_pure build "${flags[@]}" -o "$SCRATCH/${name%%=*}_go" "${name#*=}"
	done
	guest go-wasm wasm "$SCRATCH/echo_go.wasm" "$SCRATCH/sum_go.wasm"
	guest go-native process "$SCRATCH/echo_go" "$SCRATCH/sum_go"
}

# rust_target TARGET reports whether rustup has or gets one.
rust_target() {
	have rustup && have cargo || return 1
	rustup target list --installed | grep -qx "$1" || rustup target add "$1" >/dev/null 2>&1
}

# cargo_build TARGET SUFFIX KIND NAME builds both tools with cargo.
cargo_build() {
	local out=$CARGO_TARGET_DIR/$1/release
	cargo build --quiet --offline --release --target "$1" --manifest-path tools/echo/rust/Cargo.toml
	cargo build --quiet --offline --release --target "$1" --manifest-path sdk/rust/Cargo.toml --example sum
	guest "$4" "$3" "$out/echo$2" "$out/examples/sum$2"
}

# debian_rust builds both tools with Debian's rustc alone.
debian_rust() {
	local rustc=(/usr/bin/rustc --edition 2021 -O -C lto -C codegen-units=1 -C strip=symbols)
	local wasm=(--target wasm32-wasi -C linker=wasm-ld -C panic=abort) static=(-C target-feature=+crt-static)
	local dir=$SCRATCH/rust
	mkdir -p "$dir/wasm" "$dir/native"
	local name source
	"${rustc[@]}" "${wasm[@]}" --crate-type rlib --crate-name mythos -o "$dir/wasm/libmythos.rlib" sdk/rust/src/lib.rs
	"${rustc[@]}" "${static[@]}" --crate-type rlib --crate-name mythos -o "$dir/native/libmythos.rlib" sdk/rust/src/lib.rs
	for name in echo=tools/echo/rust/src/main.rs sum=sdk/rust/examples/sum.rs; do
		source=${name#*=}
		name=${name%%=*}
		"${rustc[@]}" "${wasm[@]}" --extern mythos="$dir/wasm/libmythos.rlib" --crate-name "$name" -o "$dir/wasm/$name.wasm" "$source"
		"${rustc[@]}" "${static[@]}" --extern mythos="$dir/native/libmythos.rlib" --crate-name "$name" -o "$dir/native/$name" "$source"
	done
	guest rust-wasm-debian wasm "$dir/wasm/echo.wasm" "$dir/wasm/sum.wasm"
	guest rust-native-debian process "$dir/native/echo" "$dir/native/sum"
}

rust_sdk() {
	local built=
	export CARGO_TARGET_DIR=$SCRATCH/target
	if rust_target wasm32-wasip1; then
		MYTHOS_VECTORS=$lines cargo test --quiet --offline --manifest-path sdk/rust/Cargo.toml
		cargo fmt --check --manifest-path sdk/rust/Cargo.toml
		cargo_build wasm32-wasip1 .wasm wasm rust-wasm
		if rust_target x86_64-unknown-linux-musl; then cargo_build x86_64-unknown-linux-musl "" process rust-native; fi
		built=yes
	fi
	[ -n "$built" ] || [ -d /usr/lib/rustlib/wasm32-wasi ] || packages rustc libstd-rust-dev-wasm32 lld gcc libc6-dev
	if [ -x /usr/bin/rustc ] && [ -d /usr/lib/rustlib/wasm32-wasi ] && have wasm-ld; then
		if [ -z "$built" ]; then
			/usr/bin/rustc --edition 2021 --test --crate-name mythos -o "$SCRATCH/rust_test" sdk/rust/src/lib.rs
			MYTHOS_VECTORS=$lines "$SCRATCH/rust_test"
		fi
		debian_rust
		built=yes
	fi
	[ -n "$built" ] || missing Rust "neither rustup with the target wasm32-wasip1 nor Debian's rustc and libstd-rust-dev-wasm32"
}

c_sdk() {
	local c=(-std=c11 -O2 -Wall -Wextra -Werror -Isdk/c) wasm name
	have gcc || packages gcc libc6-dev
	have clang && have wasm-ld && [ -d /usr/lib/wasm32-wasi ] || packages clang lld wasi-libc libclang-rt-14-dev-wasm32
	if have gcc; then
		gcc -std=c11 -g -O1 -fsanitize=address,undefined -Wall -Wextra -Werror -o "$SCRATCH/test_c" sdk/c/test/test.c
		if ! "$SCRATCH/test_c" <"$lines" 2>"$SCRATCH/test_c.log"; then
			cat "$SCRATCH/test_c.log" >&2
			die "the tests of sdk/c failed"
		fi
		for name in echo=tools/echo/c/echo.c sum=sdk/c/example/sum.c; do
			gcc "${c[@]}" -static -o "$SCRATCH/${name%%=*}_c" "${name#*=}" sdk/c/mythos.c
		done
		guest c-native process "$SCRATCH/echo_c" "$SCRATCH/sum_c"
	else
		missing "C, native" "gcc is not installed"
	fi
	if have clang && have wasm-ld && [ -d /usr/lib/wasm32-wasi ]; then
		wasm=(clang --target=wasm32-wasi --sysroot=/usr -mexec-model=reactor -mbulk-memory '-Wl,--strip-all')
		for name in echo=tools/echo/c/echo.c sum=sdk/c/example/sum.c; do
			"${wasm[@]}" "${c[@]}" -o "$SCRATCH/${name%%=*}_c.wasm" "${name#*=}" sdk/c/mythos.c
		done
		guest c-wasm wasm "$SCRATCH/echo_c.wasm" "$SCRATCH/sum_c.wasm"
	else
		missing "C, wasm" "clang, lld and wasi-libc are not all installed"
	fi
}

as_sdk() {
	if ! { have node && have npm; }; then
		missing AssemblyScript "Node 20 or later with npm is not installed"
		return
	fi
	(cd sdk/as && npm ci --silent --no-audit --no-fund && MYTHOS_VECTORS=$lines npm test --silent)
	local asc=(sdk/as/node_modules/.bin/asc -O3 --runtime stub --use abort=sdk/as/assembly/mythos/stop)
	"${asc[@]}" tools/echo/as/echo.ts -o "$SCRATCH/echo_as.wasm"
	"${asc[@]}" sdk/as/example/sum.ts -o "$SCRATCH/sum_as.wasm"
	guest as-wasm wasm "$SCRATCH/echo_as.wasm" "$SCRATCH/sum_as.wasm"
}

# parity compares what was built, and the two tools that need no building.
parity() {
	if ! have node; then
		missing "the same requests to all echo tools" "Node 20 or later is not installed"
		return
	fi
	local more=()
	if [ -f tools/echo/js/main.js ]; then more+=("js=process:$(command -v node) tools/echo/js/main.js"); fi
	if [ ! -f tools/echo/python/main.py ]; then
		:
	elif have python3; then
		more+=("python=process:$(command -v python3) tools/echo/python/main.py")
	else
		missing "echo in Python" "Python 3.10 or later is not installed"
	fi
	if [ ${#echo_guests[@]} -gt 0 ] || [ ${#more[@]} -gt 0 ]; then
		node scripts/guest_parity.mjs echo "$lines" "${echo_guests[@]+"${echo_guests[@]}"}" "${more[@]+"${more[@]}"}"
	fi
	if [ ${#sum_guests[@]} -gt 0 ]; then node scripts/guest_parity.mjs sum "$lines" "${sum_guests[@]}"; fi
}

go_pure run ./sdk/go/internal/vectors/print ctvp/vectors >"$lines"
[ $# -gt 0 ] || set -- go rust c as parity
for part in "$@"; do
	say "== $part"
	case $part in
	go | rust | c | as) "${part}_sdk" ;;
	parity) parity ;;
	*) die "usage: sdks.sh [go|rust|c|as|parity ...]" ;;
	esac
done
