#!/usr/bin/env bash
# Runs one `changeover` command (default: the worker) with the stack's addresses and passwords in its environment.
set -euo pipefail
eval "$(changeover-dev env --directory /stack)"
if [[ $# -eq 0 ]]; then set -- worker; fi
exec changeover "$@"
