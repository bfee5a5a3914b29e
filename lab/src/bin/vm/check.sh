# Checks observer on the kernel that this runs on: what it attaches to, one load, the live tests.
#
#   sh check.sh OBSERVER SERVER LOAD TESTS [--skip TEST ...]
#
# With `observer_tests` in the environment only the tests run that have this in their name.
#
# It tells what it found in lines that `report.rs` reads: `@begin STEP`, what the step printed, `@end STEP STATUS`.
# Plain POSIX shell: busybox runs it in a virtual machine, and any sh on the machine itself.
observer=$1 faulty_server=$2 load=$3 tests=$4
shift 4

step() {
    name=$1
    shift
    printf '\n@begin %s\n' "$name"
    "$@" 2>&1
    printf '\n@end %s %s\n' "$name" $?
}

# Waits until a file has a line with this text. Within a minute: an emulated CPU is slow.
wait_for_line() {
    tries=0
    until grep -q "$1" "$2" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || { echo "no line with $1"; return 1; }
        sleep 0.1
    done
}

# A server, an observer attached to it, a thousand requests. Prints the first and the last line of observer, and
# what the client counted.
load() {
    scratch=$(mktemp -d) || return
    "$faulty_server" --workers 2 >"$scratch/server" &
    server=$!
    wait_for_line listening "$scratch/server" || return
    address=$(sed -n 's/^listening on //p' "$scratch/server")
    "$observer" attach --pid $server --requests none --format jsonl >"$scratch/lines" 2>"$scratch/errors" &
    attached=$!
    wait_for_line header "$scratch/lines" &&
        "$load" --url "http://$address/ping" --requests 1000 --connections 8 --timeout 30s
    loaded=$?
    kill $server
    wait $attached
    ended=$?
    sed -n '1p;$p' "$scratch/lines"
    cat "$scratch/errors"
    rm -r "$scratch"
    return $((loaded + ended))
}

kernel() {
    uname -r
    # Not mounted on every machine.
    cat /sys/kernel/security/lockdown 2>/dev/null || true
}

step kernel kernel
step doctor "$observer" doctor
step load load
# Each test once.
step tests "$tests" --test-threads 1 "$@" $observer_tests
