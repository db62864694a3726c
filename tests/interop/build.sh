#!/bin/sh
# Builds the foreign peers of the interoperability tests: build.sh BUILD_DIR
# makes BUILD_DIR/go-peer (go-libp2p) and BUILD_DIR/js (js-libp2p: the peer and the job client).
# Nothing is written to the source tree. Quick when nothing changed; needs no network once the
# package caches are warm.
set -eu

if [ $# -ne 1 ]; then
    echo "usage: build.sh BUILD_DIR" >&2
    exit 2
fi
source_dir=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
build_dir=$(cd "$1" && pwd)

missing() {
    echo "build.sh: $1" >&2
    echo "build.sh: or configure with -DPLASM_INTEROP=OFF to leave these tests out" >&2
    exit 1
}

# new_enough WANTED FOUND compares dotted versions.
new_enough() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

go_wanted=$(sed -n 's/^go //p' "$source_dir/go/go.mod")
node_wanted=20
command -v go >/dev/null || missing "Go $go_wanted or newer is needed"
command -v npm >/dev/null || missing "Node $node_wanted or newer with npm is needed"
go_found=$(GOTOOLCHAIN=local go env GOVERSION | sed 's/^go//')
node_found=$(node --version | sed 's/^v//')
new_enough "$go_wanted" "$go_found" || missing "Go $go_found is older than $go_wanted"
new_enough "$node_wanted" "$node_found" || missing "Node $node_found is older than $node_wanted"

# One build at a time: two test runs may share a build directory.
exec 9>"$build_dir/lock"
flock -w 1200 9 || missing "another build of $build_dir has been running for 20 minutes"

(cd "$source_dir/go" && GOTOOLCHAIN=local GOFLAGS= go build -p 2 -mod=readonly -trimpath \
    -buildvcs=false -ldflags='-s -w' -o "$build_dir/go-peer" .)

js_dir=$build_dir/js
mkdir -p "$js_dir"
wanted=$(cd "$source_dir/js" && cat package.json package-lock.json .npmrc | sha256sum |
    cut -d ' ' -f 1)-node${node_found%%.*}
if [ "$(cat "$js_dir/installed" 2>/dev/null || true)" != "$wanted" ]; then
    rm -f "$js_dir/installed"
    cp "$source_dir/js/package.json" "$source_dir/js/package-lock.json" "$source_dir/js/.npmrc" \
        "$js_dir/"
    (cd "$js_dir" && npm ci --prefer-offline --ignore-scripts --omit=dev --loglevel=error)
    echo "$wanted" >"$js_dir/installed"
fi
# The programs sit beside node_modules, where their imports are looked for.
cp "$source_dir"/js/*.mjs "$source_dir"/jobclient/*.mjs "$js_dir/"
echo "built $build_dir/go-peer and $js_dir"
