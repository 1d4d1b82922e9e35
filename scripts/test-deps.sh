#!/usr/bin/env bash
# Installs the real services that tests start, in pinned versions where they are not Debian's. Asks for nothing
# when all is there. Where one cannot be installed it says so and goes on: tests themselves say what did not run.
set -uo pipefail
cd "$(dirname "$0")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/nautilus
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT

# install_debian PACKAGE...: without starting what it installs, now or with the machine.
install_debian() {
    local as_root=() policy=/usr/sbin/policy-rc.d is_ours=false status
    if [[ $EUID -ne 0 ]]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            as_root=(sudo -n)
        else
            as_root=(false)
        fi
    fi
    if ! command -v apt-get >/dev/null || [[ ${as_root[*]-} == false ]]; then
        echo "test-deps: missing: $*; no apt with root rights here, so nothing was installed" >&2
        return 1
    fi
    echo "test-deps: installing $*"
    # 101 forbids Debian's packages to start their services. A policy that the machine has already stays.
    if [[ ! -e $policy ]]; then
        is_ours=true
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
    fi
    "${as_root[@]}" apt-get update -q &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
    status=$?
    if $is_ours; then
        "${as_root[@]}" rm -f "$policy"
    fi
    if ((status != 0)); then
        echo "test-deps: $* could not be installed" >&2
        return 1
    fi
    # Where the machine's own policy let it start, it goes again; and it does not start with the machine.
    local service
    for service in ${services[@]+"${services[@]}"}; do
        "${as_root[@]}" invoke-rc.d "$service" stop >/dev/null 2>&1 || true
        "${as_root[@]}" update-rc.d "$service" disable >/dev/null 2>&1 || true
    done
}

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
        # What this function prints on stdout is its answer.
        type -P unzip >/dev/null || install_debian unzip >&2 || return 1
        type -P curl >/dev/null || install_debian curl ca-certificates >&2 || return 1
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

# The registry.
etcd() {
    # `command -v` would find this function.
    if ! type -P etcd >/dev/null; then
        local services=(etcd)
        install_debian etcd-server
    fi
}

# The mutation log. Apache Kafka: the jars of the list, from Maven Central. The tests find them by the same list.
kafka() {
    local list=$PWD/crates/test-services/kafka-jars.sha256 version folder jars
    if ! type -P java >/dev/null; then
        install_debian openjdk-17-jre-headless || return 1
    fi
    version=$(sed -n 's|.*/kafka_2.13/\(.*\)/.*|\1|p' "$list")
    folder=$cache/kafka-$version
    # The folder gets its name when it is whole.
    [[ -d $folder ]] && return
    if ! type -P curl >/dev/null; then
        install_debian curl ca-certificates || return 1
    fi
    echo "test-deps: downloading Apache Kafka $version"
    mkdir -p "$cache" && jars=$(mktemp -d "$cache/kafka.XXXXXX") || return 1
    if (cd "$jars" &&
        sed 's|.*  \(.*\)|url = "https://repo1.maven.org/maven2/\1"\noutput = "\1"|' "$list" |
        curl -fsS --no-progress-meter --parallel --parallel-max 8 --create-dirs --retry 3 --max-time 600 --config - &&
        sha256sum --check --quiet --strict "$list") && chmod 755 "$jars" && mv -T "$jars" "$folder"; then
        return
    fi
    rm -rf "$jars"
    # Another run may have been faster.
    [[ -d $folder ]]
}

# The catalog.
postgres() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
    type -P initdb >/dev/null && type -P psql >/dev/null && return
    # The package makes a database cluster of its own unless it is told not to; its configuration comes with another
    # package, so that one first.
    local settings=/etc/postgresql-common/createcluster.conf
    install_debian postgresql-common || return 1
    local as_root=()
    ((EUID == 0)) || as_root=(sudo -n)
    "${as_root[@]}" cp -a "$settings" "$settings.before-test-deps" &&
        "${as_root[@]}" sh -c "echo 'create_main_cluster = false' >>$settings" || return 1
    install_debian postgresql
    local status=$?
    "${as_root[@]}" mv "$settings.before-test-deps" "$settings"
    return $status
}

# The index repository: versitygw, whose conditional create is atomic.
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

# For servers behind TLS.
certificates() {
    type -P openssl >/dev/null || install_debian openssl
}

for service in certificates etcd kafka postgres s3; do
    "$service" || echo "test-deps: tests that need $service will not run" >&2
done
exit 0
