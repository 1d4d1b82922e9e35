#!/usr/bin/env bash
# Starts `nautilus dev`, feeds it, shows a search, and keeps serving until Ctrl-C.
#
# DOCS      files and folders to feed; default: this clone, and /usr/share/doc where it exists
# PORT      port on 127.0.0.1; default 7700
# DATA_DIR  where everything is kept; default .nautilus in this clone
# QUERY     the search shown; default: kernel module
# ONCE      1: stop after the search, with a clean shutdown
set -euo pipefail
cd "$(dirname "$0")/.."

nautilus=${CARGO_TARGET_DIR:-target}/release/nautilus
port=${PORT:-7700}
data_dir=${DATA_DIR:-.nautilus}
query=${QUERY:-kernel module}
if [[ -n ${DOCS:-} ]]; then
    read -r -a docs <<<"$DOCS"
else
    docs=(.)
    if [[ -d /usr/share/doc ]]; then docs+=(/usr/share/doc); fi
fi

say() { printf '\n== %s\n' "$*"; }
fail() {
    echo "run: $*" >&2
    exit 1
}

[[ -x $nautilus ]] || fail "$nautilus is not built: make run builds it"
for path in "${docs[@]}"; do
    [[ -e $path ]] || fail "nothing to feed at $path (DOCS)"
done
if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    fail "port $port is in use. Stop what runs there, or choose another: make run PORT=$((port + 100))"
fi

# The other commands find the keys in the data directory. They ask the server started here, not one that may
# serve the same directory already: then ours ends at once, and its log says why.
export NAUTILUS_DATA_DIR=$data_dir
export NAUTILUS_ENDPOINT=http://127.0.0.1:$port
unset NAUTILUS_TOKEN NAUTILUS_USER
mkdir -p "$data_dir"
log=$data_dir/dev.log

say "starting all roles in one process (data in $data_dir, log in $log)"
"$nautilus" dev --data-dir "$data_dir" --listen "127.0.0.1:$port" 2>>"$log" &
server=$!

stop() {
    trap - EXIT INT TERM
    kill -TERM "$server" 2>/dev/null || true
    local status=0
    wait "$server" || status=$?
    return "$status"
}
trap 'stop || true' EXIT
trap 'echo; stop || fail "the server did not stop cleanly: see $log"; echo stopped; exit 0' INT TERM

# A server that dies while the client waits for it is noticed at once, and its log shown.
"$nautilus" status --wait 60s >/dev/null &
waiting=$!
while kill -0 "$waiting" 2>/dev/null; do
    if ! kill -0 "$server" 2>/dev/null; then
        kill "$waiting" 2>/dev/null || true
        tail -n 20 "$log" >&2
        fail "the server ended while starting"
    fi
    sleep 0.1
done
wait "$waiting" || { tail -n 20 "$log" >&2; fail "the server was not ready in time: see $log"; }

# A second run finds user and namespace there.
exists() { "$nautilus" "$@" --output json | grep -q "\"$name\""; }
name=demo
"$nautilus" user create demo 2>/dev/null || exists user list || fail "cannot create the user demo: see $log"
name=docs
"$nautilus" namespace create docs --owner demo 2>/dev/null || exists namespace list --as demo ||
    fail "cannot create the namespace docs: see $log"

say "feeding ${docs[*]}"
# --gitignore: a clone may hold build output.
"$nautilus" feed --as demo --namespace docs --gitignore "${docs[@]}"
"$nautilus" status --wait 60s

say "nautilus search --as demo \"$query\""
"$nautilus" search --as demo "$query"

if [[ ${ONCE:-} == 1 ]]; then
    stop || fail "the server did not stop cleanly: see $log"
    say "stopped cleanly"
    exit 0
fi

cat <<TEXT

Serving on 127.0.0.1:$port until Ctrl-C. In another terminal, from this folder:

  export NAUTILUS_DATA_DIR=$data_dir
  alias nautilus=$nautilus
  nautilus search --as demo "your words"
  nautilus search --as demo '"an exact phrase" OR title:readme'
  nautilus feed --as demo --namespace docs ~/Documents
  nautilus status
TEXT
wait "$server" || fail "the server ended: see $log"
