#!/usr/bin/env bash
# count-tests.sh FILE: passes the output of `cargo test` through, says at its end what failed and why, and adds up its counts. Fails when
# a test failed, when a program of tests ended without a result, when nothing ran, and when a test was ignored: a skip must be seen, and
# there is none that this project plans for. FILE gets a line for each test that failed: how cargo names its program, a tab, its name.
set -euo pipefail
list=$1
: >"$list"
passed=0 failed=0 ignored=0 programs=0 results=0
running='' target='' block='' failures=()
while IFS= read -r line; do
    printf '%s\n' "$line"
    if [[ $line =~ ^\ +Running\ (.*) ]]; then
        running=${BASH_REMATCH[1]}
        programs=$((programs + 1))
        case $running in
        tests/*) target=${running%% *} target=${target#tests/} target=${target%.rs} target="--test ${target%%/*}" ;;
        *src/bin/* | *src/main.rs*) target=--bins ;;
        *) target=--lib ;;
        esac
    elif [[ $line =~ ^\ +Doc-tests\ (.*) ]]; then
        running="doc tests of ${BASH_REMATCH[1]}"
        programs=$((programs + 1))
        target=--doc
    elif [[ $line =~ ^----\ (.*)\ stdout\ ----$ ]]; then
        failures+=("$running: ${BASH_REMATCH[1]}")
        printf '%s\t%s\n' "$target" "${BASH_REMATCH[1]}" >>"$list"
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
        results=$((results + 1))
        block=''
    fi
done
if [[ ${#failures[@]} -gt 0 ]]; then
    printf '\nwhat failed:\n'
    printf '%s\n' "${failures[@]}"
fi
printf '\ntests: %d passed, %d failed, %d ignored, in %d programs\n' "$passed" "$failed" "$ignored" "$results"
unknown() {
    echo "tests: $1"
    # What can't be named can't be run again.
    : >"$list"
    exit 1
}
[[ $passed -gt 0 ]] || unknown 'nothing ran'
[[ $programs -eq $results ]] || unknown "$((programs - results)) of $programs programs ended without a result"
[[ $ignored -eq 0 ]] || unknown 'a test was skipped'
[[ $failed -eq $(wc -l <"$list") ]] || unknown 'a failed test is without a name'
[[ $failed -eq 0 ]]
