# shellcheck shell=bash
# What is printed, and how checks pass and fail.

passed=0
facts=()

section() { printf '\n=== %s\n' "$*"; }

pass() {
  passed=$((passed + 1))
  printf 'ok    %s\n' "$*"
}

# fail ends the run: what follows would stand on what has failed.
fail() {
  printf 'FAILED %s\n' "$*" >&2
  exit 1
}

# check DESCRIPTION COMMAND...: passes if the command does.
check() {
  local what=$1
  shift
  "$@" || fail "$what"
  pass "$what"
}

# equal DESCRIPTION WANT GOT
equal() {
  [[ $2 == "$3" ]] || fail "$1: want '$2', got '$3'"
  pass "$1: $3"
}

# eventually SECONDS DESCRIPTION COMMAND...: passes if the command does in time.
eventually() {
  local limit=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" 2>/dev/null; do
    ((SECONDS < limit)) || fail "$what (in time)"
    sleep 0.5
  done
  pass "$what"
}

# fact NAME VALUE: a measurement, for the summary.
fact() {
  facts+=("$(printf '%-36s %s' "$1" "$2")")
  printf 'fact  %s: %s\n' "$1" "$2"
}

summary() {
  section "summary"
  printf '%s\n' "${facts[@]}"
  printf '%d passed, 0 failed\n' "$passed"
}

milliseconds() { echo $(($(date +%s%N) / 1000000)); }
