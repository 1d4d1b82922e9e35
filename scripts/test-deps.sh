#!/usr/bin/env bash
# Installs the real services that tests start, in pinned versions, under the user's cache folder. Where one
# cannot be installed it says so and goes on: tests themselves say what did not run for want of it.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/nautilus
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT

# fetch URL SHA256 FILE: downloads a file and checks it.
fetch() {
    curl -fsSL --retry 3 --max-time 600 -o "$3" "$1" && echo "$2  $3" | sha256sum --check --quiet
}

# go_at_least VERSION: names a Go toolchain of at least this version: the system's, or one put into the cache.
go_at_least() {
    local wanted=$1 found
    if command -v go >/dev/null; then
        found=$(GOTOOLCHAIN=local go env GOVERSION)
        if [[ $(printf '%s\n' "$wanted" "${found#go}" | sort -V | head -n 1) == "$wanted" ]]; then
            command -v go
            return
        fi
    fi
    local version=1.26.8 sha256=30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7
    local toolchain=golang.org/toolchain@v0.0.1-go$version.linux-amd64 go=$cache/go-$version
    if [[ ! -x $go/bin/go ]]; then
        [[ $(uname -sm) == "Linux x86_64" ]] || return 1
        command -v unzip >/dev/null || return 1
        echo "test-deps: installing Go $version" >&2
        fetch "https://proxy.golang.org/golang.org/toolchain/@v/v0.0.1-go$version.linux-amd64.zip" $sha256 "$work/go.zip" || return 1
        unzip -q "$work/go.zip" -d "$work/go" || return 1
        mkdir -p "$cache"
        mv "$work/go/$toolchain" "$go" || return 1
        # A module's files come without the right to run them.
        chmod -R u+x "$go/bin" "$go/pkg/tool"
    fi
    echo "$go/bin/go"
}

# The S3 server: versitygw, whose conditional create is atomic.
s3() {
    local version=1.8.0
    local folder=$cache/versitygw-$version go
    [[ -x $folder/versitygw ]] && return
    if ! go=$(go_at_least 1.25.0); then
        echo "test-deps: no Go 1.25 or newer, so no S3 server" >&2
        return 1
    fi
    echo "test-deps: building versitygw $version"
    # Its modules are checked against Go's checksum database; they go with the work folder.
    env GOBIN="$work/bin" GOPATH="$work/gopath" GOTOOLCHAIN=local GOFLAGS=-modcacherw CGO_ENABLED=0 \
        "$go" install -trimpath -ldflags='-s -w' "github.com/versity/versitygw/cmd/versitygw@v$version" \
        2> >(grep -v '^go: downloading ' >&2) || return 1
    mkdir -p "$folder"
    # Moved, so that a test sees all of it or nothing.
    mv "$work/bin/versitygw" "$folder/versitygw.new" && mv "$folder/versitygw.new" "$folder/versitygw"
}

s3 || echo "test-deps: tests that need an S3 server will not run" >&2
