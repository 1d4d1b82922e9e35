#!/usr/bin/env bash
# Shows that tests can fail: plants one bug at a time in a copy of the tree and expects the test that is there for it to
# catch it. Prints: bug | caught by | time.
#
#   scripts/planted-bugs.sh                       all of them, more than half an hour
#   scripts/planted-bugs.sh integration-tests/    those of faults
#   scripts/planted-bugs.sh crates/engine/        those of the engine
#   scripts/planted-bugs.sh torn-read postings    those with one of these in their path
#
# Each file of crates/engine/tests/planted/ and integration-tests/planted/ is a patch with one bug; its first line says
# which. A second line may say which test catches it; otherwise it is for the engine's tests.
# PLANTED_TARGET_DIR: where to build.
set -euo pipefail
cd "$(dirname "$0")/.."

copy=$(mktemp -d)
trap 'git worktree remove --force "$copy" 2>/dev/null; rm -rf "$copy" "$copy.log"' EXIT
git worktree add --quiet --detach "$copy" HEAD
# A folder of its own: Cargo takes a crate of another clone for the same one, and would hand out a build with a bug.
export CARGO_TARGET_DIR=${PLANTED_TARGET_DIR:-${CARGO_TARGET_DIR:-$PWD/target}/planted-bugs}

wanted() {
    (($# == 1)) && return 0
    local path=$1 part
    shift
    for part in "$@"; do [[ $path == *"$part"* ]] && return 0; done
    return 1
}

caught=0
missed=0
sound=''
printf '%-66s | %-44s | %s\n' 'bug' 'caught by' 'time'
# In the order of their names, so that the crates are built one after the other.
for patch in crates/engine/tests/planted/*.patch integration-tests/planted/*.patch; do
    wanted "$patch" "$@" || continue
    bug=$(sed -n 1p "$patch")
    read -ra arguments < <(sed -n '2s/^caught by: cargo test //p' "$patch") || arguments=(-p nautilus-engine)
    # A test that fails or does not run without the bug catches nothing.
    if [[ $sound != *"<${arguments[*]}>"* ]]; then
        if ! (cd "$copy" && cargo test --quiet "${arguments[@]}") >"$copy.log" 2>&1 \
            || ! grep -q 'test result: ok. [1-9]' "$copy.log"; then
            cat "$copy.log" >&2
            echo "planted-bugs: without a bug, this fails or tests nothing: cargo test ${arguments[*]}" >&2
            exit 1
        fi
        sound+="<${arguments[*]}>"
    fi
    git -C "$copy" apply "$PWD/$patch"
    if ! (cd "$copy" && cargo test --quiet --no-run "${arguments[@]}") >"$copy.log" 2>&1; then
        cat "$copy.log" >&2
        echo "planted-bugs: $patch does not compile" >&2
        exit 1
    fi
    began=$EPOCHREALTIME
    # Some bugs make a wait or a scan endless: that is caught too.
    if (cd "$copy" && timeout 600 cargo test --quiet "${arguments[@]}") >"$copy.log" 2>&1; then
        by='MISSED'
        missed=$((missed + 1))
    else
        by=$(sed -n "s/^thread '\([^']*\)'.* panicked at .*/\1/p" "$copy.log" | head -n 1)
        by=${by:-a wait without end}
        caught=$((caught + 1))
    fi
    took=$(awk -v from="$began" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", to - from }')
    printf '%-66s | %-44s | %s\n' "$bug" "$by" "$took"
    git -C "$copy" checkout --quiet .
done
echo "$caught passed, $missed failed"
((missed == 0 && caught > 0))
