#!/bin/sh
# Builds hello.wasm, byte for byte the same with the same clang and wasi-libc.
# usage: build.sh [OUTPUT]; CLANG names the compiler.
# Debian packages: clang lld wasi-libc libclang-rt-dev-wasm32
set -eu
here=$(cd "$(dirname "$0")" && pwd)
output=${1:-$here/target/wasm32-wasip1/release/hello.wasm}
mkdir -p "$(dirname "$output")"
output=$(cd "$(dirname "$output")" && pwd)/$(basename "$output")
# The linker sees relative names only, so nothing of the build machine can reach the module.
cd "$here"
exec "${CLANG:-clang}" --target=wasm32-wasi -mcpu=mvp -std=c17 -Os -s \
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror \
    -o "$output" hello.c
