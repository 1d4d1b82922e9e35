#!/usr/bin/env bash
# Installs the services that tests start. Asks apt for nothing when all is there; what cannot be installed
# here is said and left, since the tests say themselves what did not run.
set -euo pipefail
cd "$(dirname "$0")/.."

# How to become root: nothing, sudo, or not at all.
as_root=()
if [[ $EUID -ne 0 ]]; then
    as_root=(false)
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
    fi
fi

# can_install SERVICE PACKAGES: whether apt is to be had; says what is missing where it is not.
can_install() {
    if command -v apt-get >/dev/null && [[ ${as_root[*]-} != false ]]; then
        echo "test-deps: installing $2 for the tests with $1"
        return
    fi
    echo "test-deps: $1 is missing (Debian's packages: $2), and there is no apt with root rights here" >&2
    return 1
}

apt_install() {
    "${as_root[@]}" apt-get update -q &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -q --no-install-recommends "$@"
}

postgres() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
    command -v initdb >/dev/null && command -v psql >/dev/null && return
    can_install PostgreSQL postgresql || return 0
    # The package makes a database cluster and starts it as a system service unless it is told not to;
    # the tests start servers of their own. Its configuration comes with another package, so that one first.
    local settings=/etc/postgresql-common/createcluster.conf
    if ! { apt_install postgresql-common &&
        "${as_root[@]}" cp -a "$settings" "$settings.before-test-deps" &&
        "${as_root[@]}" sh -c "echo 'create_main_cluster = false' >>$settings"; }; then
        echo "test-deps: PostgreSQL could not be installed" >&2
        return 0
    fi
    apt_install postgresql || echo "test-deps: PostgreSQL could not be installed" >&2
    "${as_root[@]}" mv "$settings.before-test-deps" "$settings"
}

postgres
