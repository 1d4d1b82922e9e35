#!/usr/bin/env bash
# Shows that the tests of faults can fail: plants one bug at a time in a copy of the tree and expects the test that is
# there for it to catch it. Prints: bug | caught by | time.
#
# Each file of integration-tests/planted/ is a patch with one bug; its first line says which, its second line which
# test catches it. Arguments are parts of file names: only those are planted. The engine's many others are in
# planted-bugs.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

copy=$(mktemp -d)
trap 'git worktree remove --force "$copy" 2>/dev/null; rm -rf "$copy" "$copy.log"' EXIT
git worktree add --quiet --detach "$copy" HEAD
# A folder of its own: Cargo takes a crate of another clone for the same one, and would hand out a build with a bug.
export CARGO_TARGET_DIR=${PLANTED_TARGET_DIR:-${CARGO_TARGET_DIR:-$PWD/target}/planted-faults}

wanted() {
    (($# == 1)) && return 0
    local name=$1 part
    shift
    for part in "$@"; do [[ $name == *"$part"* ]] && return 0; done
    return 1
}

caught=0
missed=0
sound=''
printf '%-62s | %-44s | %s\n' 'bug' 'caught by' 'time'
# In the order of their names, so that the crates are built one after the other.
for patch in integration-tests/planted/*.patch; do
    if (($#)) && ! wanted "$(basename "$patch")" "$@"; then continue; fi
    bug=$(sed -n 1p "$patch")
    read -ra arguments < <(sed -n '2s/^caught by: cargo test //p' "$patch")
    # A test that fails or does not run without the bug catches nothing.
    if [[ $sound != *"<${arguments[*]}>"* ]]; then
        if ! (cd "$copy" && cargo test --quiet "${arguments[@]}") >"$copy.log" 2>&1 \
            || ! grep -q 'test result: ok. [1-9]' "$copy.log"; then
            cat "$copy.log" >&2
            echo "planted-faults: without a bug, this fails or tests nothing: cargo test ${arguments[*]}" >&2
            exit 1
        fi
        sound+="<${arguments[*]}>"
    fi
    git -C "$copy" apply "$PWD/$patch"
    if ! (cd "$copy" && cargo test --quiet --no-run "${arguments[@]}") >"$copy.log" 2>&1; then
        cat "$copy.log" >&2
        echo "planted-faults: $patch does not compile" >&2
        exit 1
    fi
    began=$EPOCHREALTIME
    # Some bugs make a wait endless: that is caught too.
    if (cd "$copy" && timeout 600 cargo test --quiet "${arguments[@]}") >"$copy.log" 2>&1; then
        by='MISSED'
        missed=$((missed + 1))
    else
        by=$(sed -n "s/^thread '\([^']*\)'.* panicked at .*/\1/p" "$copy.log" | head -n 1)
        by=${by:-a wait without end}
        caught=$((caught + 1))
    fi
    took=$(awk -v from="$began" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", to - from }')
    printf '%-62s | %-44s | %s\n' "$bug" "$by" "$took"
    git -C "$copy" checkout --quiet .
done
echo "$caught passed, $missed failed"
((missed == 0 && caught > 0))
