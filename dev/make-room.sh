#!/usr/bin/env bash
# Sees to it that a build finds room on the disk. All clones share one build directory, and each leaves its own binaries there, so
# it grows with the number of clones; when the disk runs low, what a build can make again goes. Called before each build; where
# there is room it takes a hundredth of a second and changes nothing.
#
#   CARGO_TARGET_DIR         the build directory
#   CHANGEOVER_ROOM_MB       free space that a build wants (default: 12288; a cold one with all tests takes about 7 GB)
set -euo pipefail

readonly TARGET="${CARGO_TARGET_DIR:?the build directory}"
readonly WANTED_MB="${CHANGEOVER_ROOM_MB:-12288}"
# Below this even a build that finds its dependencies there fails half-way.
readonly LEAST_MB=$((WANTED_MB / 2))

say() { printf 'room: %s\n' "$*" >&2; }

free_mb() { df --output=avail -BM "$TARGET" | tail -n1 | tr -dc 0-9; }

# Removes, and says so, unless there is room by now.
remove() {
    local what=$1
    shift
    [[ $(free_mb) -lt $WANTED_MB ]] || return 0
    say "$(free_mb) MB are free on the disk of $TARGET, $WANTED_MB are wanted: removing $what"
    rm -rf "$@"
}

mkdir -p "$TARGET"
remove 'what builds keep between edits' "$TARGET"/*/incremental
remove 'release builds' "$TARGET/release"
remove 'all builds' "$TARGET/debug"
if [[ $(free_mb) -lt $LEAST_MB ]]; then
    say "only $(free_mb) MB are free on the disk of $TARGET, and a build with its tests needs $LEAST_MB."
    say "Free some, or set CARGO_TARGET_DIR to a directory on another disk, then run this again."
    exit 1
fi
