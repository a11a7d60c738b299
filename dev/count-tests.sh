#!/usr/bin/env bash
# Passes the output of `cargo test` through, says at its end what failed and why, and adds up its counts. Fails when a test failed,
# when nothing ran, and when a test was ignored: a skip must be seen, and there is none that this project plans for.
set -euo pipefail
passed=0 failed=0 ignored=0 binaries=0
running='' block='' failures=()
while IFS= read -r line; do
    printf '%s\n' "$line"
    if [[ $line =~ ^\ +Running\ (.*) ]]; then
        running=${BASH_REMATCH[1]}
    elif [[ $line =~ ^----\ (.*)\ stdout\ ----$ ]]; then
        failures+=("$running: ${BASH_REMATCH[1]}")
        block=open
    elif [[ $line == failures: || $line == 'Stack backtrace:'* || $line == 'stack backtrace:'* ]]; then
        block=''
    elif [[ -n $block && -n $line ]]; then
        failures+=("    $line")
    fi
    if [[ $line =~ ^test\ result:.*\ ([0-9]+)\ passed\;\ ([0-9]+)\ failed\;\ ([0-9]+)\ ignored\; ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        ignored=$((ignored + BASH_REMATCH[3]))
        binaries=$((binaries + 1))
        block=''
    fi
done
if [[ ${#failures[@]} -gt 0 ]]; then
    printf '\nwhat failed:\n'
    printf '%s\n' "${failures[@]}"
fi
printf '\ntests: %d passed, %d failed, %d ignored, in %d binaries\n' "$passed" "$failed" "$ignored" "$binaries"
[[ $passed -gt 0 ]] || { echo 'tests: nothing ran'; exit 1; }
[[ $failed -eq 0 && $ignored -eq 0 ]]
