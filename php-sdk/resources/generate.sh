#!/bin/sh
# Makes plasm.ffi.h, what PHP's FFI can read of lib/include/plasm.h.
# usage: generate.sh [OUTPUT]; needs a C compiler, and clang-format 14 for the committed form.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
output=${1:-$here/plasm.ffi.h}
format=$(command -v clang-format-14 || command -v clang-format || echo cat)
[ "$format" = cat ] || format="$format --style=file --assume-filename=$here/plasm.ffi.h"
{
    echo '/* What PHP calls of libplasm. Made by generate.sh from lib/include/plasm.h. */'
    ${CC:-cc} -E -P -DPLASM_FFI "$here/../../lib/include/plasm.h"
} | $format >"$output"
