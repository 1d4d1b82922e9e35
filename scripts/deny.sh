#!/usr/bin/env bash
# Checks dependencies: licences, bans and sources always; advisories where a database is at hand.
#
# ADVISORY_DB   a local git clone of https://github.com/rustsec/advisory-db to check against.
#               Without it, a database that cargo-deny fetched before is used. Nothing is fetched
#               here: a check must not depend on the network.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
if ! cargo deny --version 2>/dev/null | grep -qx "cargo-deny $version"; then
    echo "deny: installing cargo-deny $version (a few minutes, once)"
    # A target folder of its own keeps a second installation cheap and ours free of its artefacts.
    CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/cargo-deny" \
        cargo install cargo-deny --locked --version "$version"
fi

cargo deny --log-level warn --workspace check --hide-inclusion-graph bans licenses sources

databases=${CARGO_HOME:-$HOME/.cargo}/advisory-dbs
# The name under which cargo-deny looks for a clone of the default database.
default_name=advisory-db-3157b0e258782691
if [[ -n ${ADVISORY_DB:-} ]]; then
    if [[ ! -d $ADVISORY_DB/crates ]]; then
        echo "deny: ADVISORY_DB=$ADVISORY_DB is no advisory database" >&2
        exit 1
    fi
    databases=$(mktemp -d)
    trap 'rm -rf "$databases"' EXIT
    ln -s "$(cd "$ADVISORY_DB" && pwd)" "$databases/$default_name"
fi
if [[ -d $databases/$default_name/crates ]]; then
    # Only the place of the database differs from deny.toml.
    config=$(mktemp --suffix=.toml)
    trap 'rm -rf "$config" "${ADVISORY_DB:+$databases}"' EXIT
    sed "s|^\[advisories\]|&\ndb-path = \"$databases\"|" deny.toml >"$config"
    cargo deny --log-level warn --workspace --offline --config "$config" check advisories
else
    echo "deny: advisories not checked: no local database (set ADVISORY_DB to a clone of rustsec/advisory-db)"
fi
