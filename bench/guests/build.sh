#!/usr/bin/env bash
# Builds the benchmarks' guests from the sources beside it. Needs clang with the
# wasm32 target and wasm-ld (Debian: clang, lld). The results are committed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

build() {
	clang --target=wasm32 -nostdlib -O2 -mbulk-memory "$@"
}
build -Wall -Wextra -Werror -Wl,--no-entry,--strip-all,--export=result -o kernels.wasm kernels.c
build -Wall -Wextra -Werror -Wl,--no-entry,--strip-all -o loops.wasm loops.c
build -Wall -Wextra -Werror -Wl,--no-entry,--strip-all -o extism.wasm extism.c
build -mreference-types -Wl,--no-entry,--strip-all -o tables.wasm tables.s
ls -l ./*.wasm
