#!/usr/bin/env bash
# Rebuilds the guests of the golden counts that are kept built, beside their
# sources: guests.sh [--check]. --check builds them elsewhere and compares; it
# fails if bytes differ. The bytes are those of these packages:
#   Debian 12: clang lld wasi-libc libclang-rt-14-dev-wasm32 rustc libstd-rust-dev-wasm32
#   npm:       assemblyscript@0.28.20 wabt@1.0.39, fetched to a scratch folder
#              unless MYTHOS_GUEST_NPM names a folder that has them
# With other versions the guests work and their goldens are other numbers.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage="usage: guests.sh [--check]"
case $# in
0) check= ;;
1) [ "$1" = --check ] || die "$usage"
	check=yes ;;
*) die "$usage" ;;
esac
guests=runtime/runner/wasm/testdata/guests
rustc=${RUSTC:-/usr/bin/rustc} # one on PATH often lacks the wasm targets
for tool in clang wasm-ld npm node "$rustc"; do
	have "$tool" || die "$tool is not installed; see the head of this script for the packages"
done

scratch
npm_dir=${MYTHOS_GUEST_NPM:-$SCRATCH/npm}
if [ ! -x "$npm_dir/node_modules/.bin/asc" ]; then
	mkdir -p "$npm_dir"
	npm install --silent --no-fund --no-audit --prefix "$npm_dir" assemblyscript@0.28.20 wabt@1.0.39
fi
asc=$(cd "$npm_dir" && pwd)/node_modules/.bin/asc
wat2wasm=$(cd "$npm_dir" && pwd)/node_modules/.bin/wat2wasm

# Sources are compiled in a copy, each from its own folder, so that no path of
# this machine can end up in a guest.
cp -R "$guests" "$SCRATCH/guests"
find "$SCRATCH/guests" -name '*.wasm' -delete

c() { clang -O2 -mbulk-memory -Wall -Wextra -Werror -Wl,--strip-all "$@"; }
# Several codegen units gave other bytes now and then.
rust() { "$rustc" --edition 2021 -O -C lto -C codegen-units=1 -C panic=abort -C linker=wasm-ld -C strip=symbols "$@"; }
assembly() { "$asc" "$1" -O3 --runtime stub --use abort= -o "$2"; }

cd "$SCRATCH/guests/c"
c --target=wasm32 -nostdlib -Wl,--no-entry -o echo.wasm echo.c
c --target=wasm32-wasi --sysroot=/usr -o work.wasm work.c
c --target=wasm32-wasi --sysroot=/usr -mexec-model=reactor -o reactor.wasm reactor.c
cd ../rust
rust --target wasm32-unknown-unknown --crate-type cdylib -o echo.wasm echo.rs
rust --target wasm32-wasi -o work.wasm work.rs
cd ../assemblyscript
assembly echo.ts echo.wasm
assembly work.ts work.wasm
cd ../wat
"$wat2wasm" echo.wat -o echo.wasm
"$wat2wasm" work.wat -o work.wasm
cd "$ROOT"

different=0
for built in "$SCRATCH"/guests/*/*.wasm; do
	name=${built#"$SCRATCH/guests/"}
	if cmp -s "$built" "$guests/$name"; then
		say "same       $name"
		continue
	fi
	different=$((different + 1))
	if [ -n "$check" ]; then
		say "DIFFERENT  $name"
	else
		install -m 644 "$built" "$guests/$name"
		say "written    $name"
	fi
done
if [ $different -eq 0 ]; then
	say "all guests are as their sources say"
elif [ -n "$check" ]; then
	die "$different guests differ from what their sources give with this toolchain"
else
	say "now: go test ./runtime/runner/wasm -run TestGolden -update"
fi
