#!/usr/bin/env bash
# Installs the real services that tests start, in pinned versions. Asks for nothing when all is there. Where one
# cannot be installed it says so and goes on: tests themselves say what did not run for want of it.
set -uo pipefail
cd "$(dirname "$0")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/nautilus

# Java, as Debian has it.
java_17() {
    command -v java >/dev/null && return
    local package=openjdk-17-jre-headless as_root=()
    if [[ $EUID -ne 0 ]]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            as_root=(sudo -n)
        else
            as_root=(false)
        fi
    fi
    if ! command -v apt-get >/dev/null || [[ ${as_root[*]-} == false ]]; then
        echo "test-deps: missing: $package; no apt with root rights here, so nothing was installed" >&2
        return 1
    fi
    echo "test-deps: installing $package"
    "${as_root[@]}" apt-get update -q &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package"
}

# Apache Kafka: the jars of the list, from Maven Central. The tests find them by the same list.
kafka() {
    local list=$PWD/crates/test-services/kafka-jars.sha256 version folder work
    java_17 || return 1
    version=$(sed -n 's|.*/kafka_2.13/\(.*\)/.*|\1|p' "$list")
    folder=$cache/kafka-$version
    # The folder gets its name when it is whole.
    [[ -d $folder ]] && return
    if ! command -v curl >/dev/null; then
        echo "test-deps: missing: curl" >&2
        return 1
    fi
    echo "test-deps: downloading Apache Kafka $version"
    mkdir -p "$cache" && work=$(mktemp -d "$cache/kafka.XXXXXX") || return 1
    if (cd "$work" &&
        sed 's|.*  \(.*\)|url = "https://repo1.maven.org/maven2/\1"\noutput = "\1"|' "$list" |
        curl -fsS --no-progress-meter --parallel --parallel-max 8 --create-dirs --retry 3 --max-time 600 --config - &&
        sha256sum --check --quiet --strict "$list") && chmod 755 "$work" && mv -T "$work" "$folder"; then
        return
    fi
    rm -rf "$work"
    # Another run may have been faster.
    [[ -d $folder ]]
}

kafka || echo "test-deps: tests that need Apache Kafka will not run" >&2
exit 0
