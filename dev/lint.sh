#!/usr/bin/env bash
# Every check that needs no servers. `make lint` sets up what it needs.
set -euo pipefail
cd "$(dirname "$0")/.."

echo '== rustfmt'
cargo fmt --all --check
echo '== clippy'
cargo clippy --locked --workspace --all-targets -- -D warnings
echo '== shell syntax'
git ls-files -z '*.sh' .ci/run | xargs -0 -n1 bash -n

echo '== ruff'
ruff="${CHANGEOVER_CACHE:-$HOME/.cache/changeover}/aws-venv/bin/ruff"
(cd dev/aws && "$ruff" format --quiet --check . && "$ruff" check --quiet .)

echo '== who speaks to a database'
# The same rule stands in deny.toml; this needs no further tool.
tree=$(cargo tree --locked --workspace --invert tokio-postgres --depth 1 --prefix none --edges normal,build,dev)
others=$(cut -d' ' -f1 <<<"$tree" | grep -vxE 'tokio-postgres|tokio-postgres-rustls|changeover-postgres|changeover-tests|changeover-switch-tests' || true)
[[ -z $others ]] || { printf 'lint: depends on tokio-postgres, and only changeover-postgres and the harness may: %s\n' "$others"; exit 1; }

echo '== cargo deny'
cargo deny --workspace check --hide-inclusion-graph bans sources licenses

echo '== docker-compose config'
compose=(docker-compose)
command -v docker-compose >/dev/null || compose=(docker compose)
"${compose[@]}" -f docker-compose.yml config -q
echo 'lint: clean'
