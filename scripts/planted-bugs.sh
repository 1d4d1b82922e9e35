#!/usr/bin/env bash
# Shows that the engine's tests can fail: plants one bug at a time in a copy of the tree and expects it to be caught.
#
# Each file of crates/engine/tests/planted/ is a patch with one bug; its first line says which.
set -euo pipefail
cd "$(dirname "$0")/.."

copy=$(mktemp -d)
trap 'git worktree remove --force "$copy" 2>/dev/null; rm -rf "$copy"' EXIT
git worktree add --quiet --detach "$copy" HEAD
# A folder of its own: Cargo takes a crate of another clone for the same one, and would hand out a build with a bug.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/planted-bugs

# Some bugs make a scan endless: that is caught too.
engine_tests() { (cd "$copy" && timeout 600 cargo test --quiet -p nautilus-engine) >"$copy.log" 2>&1; }

if ! engine_tests; then
    echo "planted-bugs: the test fails without a bug: $copy.log" >&2
    exit 1
fi

caught=0
missed=0
for patch in crates/engine/tests/planted/*.patch; do
    name=$(head -n 1 "$patch")
    git -C "$copy" apply "$PWD/$patch"
    if ! (cd "$copy" && cargo build --quiet -p nautilus-engine --tests) 2>"$copy.log"; then
        echo "planted-bugs: $patch does not compile: $copy.log" >&2
        exit 1
    fi
    if engine_tests; then
        printf 'MISSED  %s\n' "$name"
        missed=$((missed + 1))
    else
        printf 'caught  %-60s %s\n' "$name" "$(grep -m 1 -A 1 'panicked at' "$copy.log" | tail -n 1 | cut -c 1-80)"
        caught=$((caught + 1))
    fi
    git -C "$copy" checkout --quiet .
done
rm -f "$copy.log"
echo "$caught passed, $missed failed"
((missed == 0))
