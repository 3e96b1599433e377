#!/usr/bin/env bash
# Sends the same 200 requests, a third of them broken, to the echo tool in every
# language, wasm modules through the product's own runner, and compares every
# answer with what the product's codec makes of the request. What cannot be built
# here is skipped loudly; where CI=true that fails. scripts/sdks.sh installs what
# Debian's packages provide and tests the SDKs themselves.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# -eq 0 ] || die "usage: parity.sh"
scratch
guests=

missing() {
	say "!! SKIPPED: $1: $2"
	! in_ci || die "$1: $2"
}

# guest NAME KIND WHERE notes a guest that was built.
guest() { guests+="$1=$2:$3;"; }

c_guests() {
	local flags=(-std=c11 -O2 -Isdk/c tools/echo/c/echo.c sdk/c/mythos.c)
	if have gcc; then
		gcc -static "${flags[@]}" -o "$SCRATCH/echo_c"
		guest "c, native" process "$SCRATCH/echo_c"
	else
		missing "C, native" "gcc is not installed"
	fi
	if have clang && have wasm-ld && [ -d /usr/lib/wasm32-wasi ]; then
		clang --target=wasm32-wasi --sysroot=/usr -mexec-model=reactor -mbulk-memory -Wl,--strip-all "${flags[@]}" -o "$SCRATCH/echo_c.wasm"
		guest "c, wasm" wasm "$SCRATCH/echo_c.wasm"
	else
		missing "C, wasm" "clang, lld and wasi-libc are not all installed"
	fi
}

# cargo_guest TARGET FILE builds the Rust tool; false if the target is not there.
cargo_guest() {
	have cargo && have rustup && rustup target list --installed | grep -qx "$1" || return 1
	CARGO_TARGET_DIR=$SCRATCH/rust cargo build --quiet --offline --release --target "$1" --manifest-path tools/echo/rust/Cargo.toml || die "cargo build for $1 failed"
	cp "$SCRATCH/rust/$1/release/$2" "$SCRATCH/rust_$2"
}

# debian_guest FILE FLAGS... builds the Rust tool with Debian's rustc alone.
debian_guest() {
	local out=$1 rustc=(/usr/bin/rustc --edition 2021 -O -C strip=symbols)
	shift
	mkdir -p "$SCRATCH/lib_$out"
	"${rustc[@]}" "$@" --crate-type rlib --crate-name mythos -o "$SCRATCH/lib_$out/libmythos.rlib" sdk/rust/src/lib.rs
	"${rustc[@]}" "$@" --extern mythos="$SCRATCH/lib_$out/libmythos.rlib" --crate-name echo -o "$SCRATCH/rust_$out" tools/echo/rust/src/main.rs
}

rust_guests() {
	local debian=
	if [ -x /usr/bin/rustc ] && [ -d /usr/lib/rustlib/wasm32-wasi ] && have wasm-ld; then debian=yes; fi
	if cargo_guest wasm32-wasip1 echo.wasm || { [ -n "$debian" ] && debian_guest echo.wasm --target wasm32-wasi -C linker=wasm-ld -C panic=abort; }; then
		guest "rust, wasm" wasm "$SCRATCH/rust_echo.wasm"
	else
		missing "Rust, wasm" "neither rustup with wasm32-wasip1 nor Debian's rustc with libstd-rust-dev-wasm32 is installed"
	fi
	if cargo_guest x86_64-unknown-linux-musl echo || { [ -n "$debian" ] && debian_guest echo -C target-feature=+crt-static; }; then
		guest "rust, native" process "$SCRATCH/rust_echo"
	else
		missing "Rust, native" "neither rustup with x86_64-unknown-linux-musl nor Debian's rustc is installed"
	fi
}

as_guest() {
	if ! { have node && have npm; }; then
		missing AssemblyScript "Node 20 or later with npm is not installed"
		return
	fi
	(cd sdk/as && npm ci --silent --no-audit --no-fund)
	sdk/as/node_modules/.bin/asc tools/echo/as/echo.ts -O3 --runtime stub --use abort=sdk/as/assembly/mythos/stop -o "$SCRATCH/echo_as.wasm"
	guest "assemblyscript, wasm" wasm "$SCRATCH/echo_as.wasm"
}

c_guests
rust_guests
as_guest
MYTHOS_ECHO_GUESTS=$guests go_pure test ./runtime/runner/parity -count=1 -v
