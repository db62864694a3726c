#!/bin/sh
# Rebuilds hello.wasm and compares it with the committed file, byte for byte.
# usage: reproducible_test.sh COMMITTED REBUILT; exit code 77 where the toolchain is another one.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
clang=${CLANG:-clang}
if ! "$here/build.sh" "$2"; then
    if ! command -v "$clang" >/dev/null || ! command -v wasm-ld >/dev/null ||
        [ ! -d /usr/include/wasm32-wasi ]; then
        echo "skipped: needs the packages clang lld wasi-libc libclang-rt-dev-wasm32"
        exit 77
    fi
    echo "hello.c does not build" >&2
    exit 1
fi
if cmp "$1" "$2"; then
    echo "the committed module is what hello.c builds to: $(wc -c <"$2") bytes"
    exit 0
fi
wanted=$(sed -n 's/^clang //p' "$here/toolchain.txt")
found=$("$clang" -dumpversion)
if [ "$wanted" != "$found" ]; then
    echo "skipped: the committed module was built with clang $wanted, this is $found"
    exit 77
fi
exit 1
