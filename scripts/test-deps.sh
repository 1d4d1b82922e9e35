#!/usr/bin/env bash
# Installs the real services that tests start, or names what is missing. Asks apt for nothing when all is there.
# Never fails: a test whose service is missing says so itself.
set -uo pipefail
cd "$(dirname "$0")/.."

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

etcd() {
    # `command -v` would find this function.
    if ! type -P etcd >/dev/null; then
        local services=(etcd)
        install_debian etcd-server
    fi
}

etcd || true
exit 0
