#!/usr/bin/env bash
# Installs what a build needs, or names what is missing. Asks apt for nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()

# need PACKAGE TEST...: the package is missing when the test fails.
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
command_is() { command -v "$1"; }
file_is() { compgen -G "$1"; }

need build-essential command_is c++
need build-essential command_is make
need cmake command_is cmake
need clang command_is clang
# bindgen loads libclang at build time to read RocksDB's headers.
# libclang-cpp, which clang itself brings, is another library.
need libclang-dev file_is '/usr/lib*/llvm-*/lib/libclang.so'
need protobuf-compiler command_is protoc
need libprotobuf-dev file_is '/usr/include/google/protobuf/descriptor.proto'
need libssl-dev file_is '/usr/include/openssl/ssl.h'
need zlib1g-dev file_is '/usr/include/zlib.h'
need pkg-config command_is pkg-config
# .cargo/config.toml compiles C and C++ through ccache.
need ccache command_is ccache
need git command_is git

if ((${#missing[@]} > 0)); then
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    as_root=()
    if [[ $EUID -ne 0 ]]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            as_root=(sudo -n)
        else
            as_root=(false)
        fi
    fi
    if ! command -v apt-get >/dev/null || [[ ${as_root[*]-} == false ]]; then
        echo "deps: missing: ${missing[*]}" >&2
        echo "deps: these are Debian's package names; install them (or your system's own) and run make again." >&2
        echo "deps: no apt with root rights here, so nothing was installed." >&2
        exit 1
    fi
    echo "deps: installing ${missing[*]}"
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

if ! command -v cargo >/dev/null; then
    echo "deps: missing: Rust. Install it from https://rustup.rs and run make again." >&2
    exit 1
fi
# rust-toolchain.toml pins the toolchain; rustup fetches it and its components when they are absent.
if command -v rustup >/dev/null; then
    components=$(rustup component list --installed 2>/dev/null || true)
    if [[ $components != *clippy* || $components != *rustfmt* ]]; then
        channel=$(sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml)
        echo "deps: installing Rust $channel with clippy and rustfmt"
        rustup toolchain install "$channel" --profile minimal -c clippy -c rustfmt
    fi
fi
