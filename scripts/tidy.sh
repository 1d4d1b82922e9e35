#!/usr/bin/env bash
# Checks what compilers do not: lints inherited, links, crate map, ignored tests, file lengths.
set -euo pipefail
cd "$(dirname "$0")/.."

lines_max=500
problems=0
problem() {
    echo "tidy: $*" >&2
    problems=$((problems + 1))
}

mapfile -t members < <(awk '/^members = \[/ {on = 1; next} /^\]/ {on = 0} on' Cargo.toml | sed -n 's/.*"\(.*\)".*/\1/p')
mapfile -t defaults < <(awk '/^default-members = \[/ {on = 1; next} /^\]/ {on = 0} on' Cargo.toml | sed -n 's/.*"\(.*\)".*/\1/p')
((${#members[@]} > 0)) || problem "no members found in Cargo.toml"

for member in "${members[@]}"; do
    manifest=$member/Cargo.toml
    if [[ ! -f $manifest ]]; then
        problem "$manifest: named in the workspace, not there"
        continue
    fi
    awk '/^\[lints\]/ {on = 1; next} /^\[/ {on = 0} on && /^workspace *= *true/ {found = 1} END {exit !found}' "$manifest" ||
        problem "$manifest: does not inherit the workspace's lints"
    # Only measurements may stay out of plain `cargo test`.
    if [[ $member != bench && " ${defaults[*]} " != *" $member "* ]]; then
        problem "$member: not a default member, so \`make test\` would skip it"
    fi
    if [[ -f ARCHITECTURE.md ]] && ! grep -qF "]($member)" ARCHITECTURE.md; then
        problem "ARCHITECTURE.md: the crate map has no link to $member"
    fi
done

# Every crate in the tree is a member: one that is not would be neither built nor tested.
while IFS= read -r manifest; do
    member=${manifest%/Cargo.toml}
    [[ $manifest == Cargo.toml || " ${members[*]} " == *" $member "* ]] || problem "$member: not in the workspace"
done < <(git ls-files -co --exclude-standard -- Cargo.toml '*/Cargo.toml')

# Relative links in Markdown lead somewhere. Code blocks and code spans are no links.
links=0
while IFS= read -r page; do
    [[ -f $page ]] || continue
    while IFS= read -r link; do
        target=${link%%#*}
        target=${target%% *}
        [[ -z $target || $target =~ ^[a-z][a-z0-9+.-]*: ]] && continue
        links=$((links + 1))
        if [[ $target == /* ]]; then
            problem "$page: link $link is absolute"
        elif [[ ! -e $(dirname "$page")/$target ]]; then
            problem "$page: link $link leads nowhere"
        fi
    done < <(awk '/^ *(```|~~~)/ {code = !code; next} !code' "$page" | sed 's/`[^`]*`//g' | grep -oE '\]\([^()]*\)' | sed 's/^](//; s/)$//; s/^<//; s/>$//' || true)
done < <(git ls-files -co --exclude-standard -- '*.md')

# An ignored test says why, and their number is seen.
ignored=0
while IFS= read -r hit; do
    ignored=$((ignored + 1))
    [[ $hit == *'#[ignore = "'* ]] || problem "$hit: ignored without a reason"
done < <(git grep --untracked -nE '^\s*#\[ignore' -- '*.rs' || true)

long=0
while IFS= read -r source; do
    [[ -f $source ]] || continue
    lines=$(wc -l <"$source")
    if ((lines > lines_max)); then
        long=$((long + 1))
        echo "tidy: warning: $source has $lines lines (aim: at most $lines_max)"
    fi
done < <(git ls-files -co --exclude-standard -- '*.rs' | grep '/src/' || true)

echo "tidy: ${#members[@]} crates, $links relative links, $ignored ignored tests, $long long files"
if ((problems > 0)); then
    echo "tidy: $problems problems" >&2
    exit 1
fi
