#!/usr/bin/env bash
# Runs all tests of the default members and says how many ran, failed and were ignored. Arguments
# go to `cargo test`. The whole output is also kept beside the build, for CI to close with.
set -uo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
log=$target/nautilus-test.log
# Tests whose service this machine does not have write a line here.
NAUTILUS_SKIPPED=$(mktemp)
export NAUTILUS_SKIPPED
trap 'rm -f "$NAUTILUS_SKIPPED"' EXIT

cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}

read -r passed failed ignored suites < <(awk '
    /^test result: / {
        for (i = 2; i <= NF; i++) {
            if ($i ~ /^passed/) passed += $(i - 1)
            if ($i ~ /^failed/) failed += $(i - 1)
            if ($i ~ /^ignored/) ignored += $(i - 1)
        }
        suites++
    }
    END { print passed + 0, failed + 0, ignored + 0, suites + 0 }' "$log")

echo
echo "$suites test programs, $ignored tests ignored"
skipped=$(wc -l <"$NAUTILUS_SKIPPED")
if ((skipped > 0)); then
    echo "$skipped did not run, for want of a service:"
    sort "$NAUTILUS_SKIPPED"
fi
if ((status != 0 && failed == 0)); then
    echo "cargo test ended with status $status before or beside the tests" >&2
fi
echo "$passed passed, $failed failed"
if ((status == 0 && passed == 0)); then
    echo "no test ran" >&2
    exit 1
fi
exit "$status"
