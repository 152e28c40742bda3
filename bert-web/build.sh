#!/usr/bin/env bash
# Builds the program of the page into pkg/, or with `./build.sh check` only sees whether it compiles.
#
# Takes the wasm32-unknown-unknown target of the Rust toolchain, and wasm-bindgen of the version in Cargo.lock.
# Where rustup cannot give that target, Debian can: RUST=debian unpacks its rustc-web, which builds the browsers
# in Debian, under the target folder (900 MB, nothing is installed) and compiles the standard library with it.
# Without RUST, this is done if the target is missing and apt-get is there. Its lists have to be recent.
set -euo pipefail
cd "$(dirname "$0")"
target_dir="$(cd .. && pwd)/target/web"
mkdir -p "$target_dir"
target=wasm32-unknown-unknown
cargo=(cargo)
std=()

debian() {
    local root="$target_dir/debian"
    if [ ! -x "$root/usr/bin/rustc" ]; then
        echo "unpacking Debian's rustc-web under $root" >&2
        rm -rf "$root" "$root.debs"
        mkdir -p "$root" "$root.debs/partial"
        apt-get install -qy --download-only --no-install-recommends -o Debug::NoLocking=1 \
            -o Dir::Cache::archives="$root.debs" rustc-web cargo-web rust-web-src libstd-rust-web-dev >&2
        for package in "$root.debs"/*.deb; do dpkg -x "$package" "$root"; done
        rm -r "$root.debs"
    fi
    local libraries
    libraries=$(dirname "$(find "$root/usr/lib" -name 'librustc_driver-*.so' | head -1)")
    local linker
    linker=$(find "$(command rustc --print sysroot)" -name rust-lld | head -1)
    [ -n "$linker" ] || { echo "there is no rust-lld in this Rust toolchain" >&2; exit 1; }
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker"
    cargo=(env "LD_LIBRARY_PATH=$libraries" "RUSTC=$root/usr/bin/rustc" RUSTC_BOOTSTRAP=1 "$root/usr/bin/cargo")
    std=(-Zbuild-std=std,panic_abort)
}

if [ "${RUST:-}" != debian ] && [ -d "$(rustc --print target-libdir --target "$target" 2>/dev/null)" ]; then
    :
elif [ "${RUST:-}" = debian ] || { [ -z "${RUST:-}" ] && command -v apt-get >/dev/null; }; then
    debian
else
    echo "this Rust toolchain has no $target: run \`rustup target add $target\`" >&2
    exit 1
fi

flags=(--release --locked --target "$target" --target-dir "$target_dir/build" "${std[@]}")
if [ "${1:-}" = check ]; then
    exec "${cargo[@]}" check "${flags[@]}"
fi
"${cargo[@]}" build "${flags[@]}"

version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
bindgen=wasm-bindgen
if [ "$($bindgen --version 2>/dev/null)" != "wasm-bindgen $version" ]; then
    bindgen="$target_dir/tools/bin/wasm-bindgen"
    if [ "$("$bindgen" --version 2>/dev/null)" != "wasm-bindgen $version" ]; then
        cargo install wasm-bindgen-cli --version "$version" --root "$target_dir/tools" \
            --target-dir "$target_dir/tools/build"
        rm -rf "$target_dir/tools/build"
    fi
fi
"$bindgen" --target web --no-typescript --remove-name-section --remove-producers-section --out-dir pkg "$target_dir/build/$target/release/bert_web.wasm"
for file in pkg/*.wasm pkg/*.js; do echo "$file: $(($(stat -c %s "$file") / 1000)) KB, $(($(gzip -c "$file" | wc -c) / 1000)) KB compressed"; done
