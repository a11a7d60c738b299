#!/usr/bin/env bash
# Every check that needs no servers. What can't run here is said aloud, at the end, never skipped in silence.
set -euo pipefail
cd "$(dirname "$0")/.."
not_run=()

echo '== rustfmt'
cargo fmt --all --check
echo '== clippy'
cargo clippy --locked --workspace --all-targets -- -D warnings
echo '== shell syntax'
git ls-files -z '*.sh' .ci/run | xargs -0 -n1 bash -n

echo '== who speaks to a database'
# The same rule stands in deny.toml; this needs no further tool.
tree=$(cargo tree --locked --workspace --invert tokio-postgres --depth 1 --prefix none --edges normal,build,dev)
others=$(cut -d' ' -f1 <<<"$tree" | grep -vxE 'tokio-postgres|tokio-postgres-rustls|changeover-postgres|changeover-tests' || true)
[[ -z $others ]] || { printf 'lint: depends on tokio-postgres, and only changeover-postgres and the harness may: %s\n' "$others"; exit 1; }

if command -v cargo-deny >/dev/null; then
    echo '== cargo deny'
    cargo deny --workspace check bans sources licenses
else
    not_run+=("cargo-deny isn't installed: the dependency rules in deny.toml were not checked (cargo install --locked cargo-deny)")
fi
if [[ -f docker-compose.yml ]]; then
    if command -v docker-compose >/dev/null; then
        echo '== docker-compose config'
        docker-compose -f docker-compose.yml config -q
    elif docker compose version >/dev/null 2>&1; then
        echo '== docker compose config'
        docker compose -f docker-compose.yml config -q
    else
        not_run+=("docker-compose isn't installed: docker-compose.yml was not checked (apt-get install docker-compose)")
    fi
fi
for line in "${not_run[@]+"${not_run[@]}"}"; do printf 'lint: NOT RUN: %s\n' "$line"; done
echo "lint: clean, ${#not_run[@]} check(s) not run"
