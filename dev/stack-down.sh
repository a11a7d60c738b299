# shellcheck shell=bash
# Stops every server of one stack and, if told so, removes its directory. Reads pid files only of this stack, and stops a
# process only if it is what the file says. Embedded by the harness, which runs it as
#   bash -c SCRIPT stack-down DIRECTORY remove|keep [wait]
# With `wait` it first reads standard input to its end: the other end of that pipe is the harness, so a harness that dies in any
# way, SIGKILL included, takes its servers with it. The line `detach` on the pipe ends the wait without doing anything.
set -u
directory=$1 afterwards=$2

if [ "${3:-}" = wait ]; then
    while IFS= read -r line; do
        [ "$line" = detach ] && exit 0
    done
fi

# The pid in a pid file, if that process has this name and, where given, this working directory.
found() { # pidfile name [cwd]
    [ -r "$1" ] || return 1
    local pid
    read -r pid <"$1" || [ -n "$pid" ] || return 1
    case $pid in '' | *[!0-9]*) return 1 ;; esac
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] || return 1
    [ -z "${3:-}" ] || [ "$(readlink "/proc/$pid/cwd")" = "$3" ] || return 1
    printf '%s\n' "$pid"
}

pids=
# QUIT is PostgreSQL's immediate shutdown.
for side in source target; do
    if pid=$(found "$directory/$side/data/postmaster.pid" postgres "$directory/$side/data"); then
        kill -QUIT "$pid" && pids="$pids $pid"
    fi
done
# The local AWS ends its servers itself, and they end with it.
for part in pooler:pgbouncer temporal:temporal aws:standin; do
    if pid=$(found "$directory/${part%:*}/pid" "${part#*:}"); then
        kill -TERM "$pid" && pids="$pids $pid"
    fi
done

# A zombie is dead, but its parent may be us or the harness and reap late.
alive() {
    local state
    state=$(sed -E 's/.*\) (.).*/\1/' "/proc/$1/stat" 2>/dev/null) && [ -n "$state" ] && [ "$state" != Z ]
}
for _ in $(seq 100); do
    left=
    for pid in $pids; do
        alive "$pid" && left="$left $pid"
    done
    pids=$left
    [ -n "$pids" ] || break
    sleep 0.1
done
for pid in $pids; do kill -KILL "$pid"; done

# A disk of its own, if a side has one.
for side in source target; do
    if grep -qF " $directory/$side/data tmpfs " /proc/mounts && [ "$afterwards" = remove ]; then
        umount "$directory/$side/data" || umount -l "$directory/$side/data"
    fi
done

if [ "$afterwards" = remove ] && [ -e "$directory/stack.json" ]; then
    rm -rf -- "$directory"
fi
