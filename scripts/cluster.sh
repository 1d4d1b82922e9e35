#!/usr/bin/env bash
# Starts or stops a real cluster on this machine: etcd, Kafka, an S3 server, PostgreSQL, and every role as
# processes of its own, in CLUSTER_DIR (default .cluster).
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${CLUSTER_DIR:-.cluster}
target=${CARGO_TARGET_DIR:-target}
pid_file=$folder.pid
log=$folder.log

is_running() { [[ -f $pid_file ]] && kill -0 "$(<"$pid_file")" 2>/dev/null; }

up() {
    if is_running; then
        echo "a cluster runs already (pid $(<"$pid_file")); make cluster-down stops it"
        exit 1
    fi
    cargo build --release --locked -p nautilus-cli -p nautilus-integration-tests --bins
    rm -rf "$folder"
    setsid "$target/release/nautilus-chaos" --nautilus "$target/release/nautilus" up --folder "$folder" \
        >"$log" 2>&1 </dev/null &
    echo $! >"$pid_file"
    echo -n "starting services and processes (log in $log) "
    for ((i = 0; i < 360; i++)); do
        if grep -q '^ready' "$log"; then
            echo
            cat "$log"
            echo "(make cluster-down does it from here)"
            return
        fi
        if ! is_running; then
            echo
            cat "$log" >&2
            rm -f "$pid_file"
            exit 1
        fi
        ((i % 4)) || echo -n .
        sleep 0.5
    done
    echo "not ready after three minutes; the log says:" >&2
    cat "$log" >&2
    exit 1
}

down() {
    if ! is_running; then
        echo "no cluster runs in $folder"
        rm -f "$pid_file"
        return
    fi
    local pid
    pid=$(<"$pid_file")
    kill -TERM "$pid"
    for ((i = 0; i < 240; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.25
    done
    kill -0 "$pid" 2>/dev/null && kill -KILL "$pid"
    rm -f "$pid_file"
    echo "stopped; what was on its disks is in $folder"
}

case ${1-} in
up) up ;;
down) down ;;
*)
    echo "usage: scripts/cluster.sh up|down" >&2
    exit 2
    ;;
esac
