#!/usr/bin/env bash
# Fuzzes each target, or those in TARGETS, for TIME seconds (60), from the committed seeds and from what earlier runs found
# (corpus/, not committed), and prints what it came to. An input that breaks a promise is in artifacts/.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${TIME:-60}
targets=${TARGETS:-config frames grants names rest}

missing() { echo "fuzz: $1" >&2; exit 2; }
cargo fuzz --version >/dev/null 2>&1 || missing "no cargo-fuzz: cargo install cargo-fuzz --locked"
cargo +nightly --version >/dev/null 2>&1 || missing "no nightly toolchain: rustup toolchain install nightly --profile minimal"
command -v c++ >/dev/null || missing "no C++ compiler: sudo apt install g++"

# Stores and databases of the targets: in memory where there is such a place, and gone at the end.
scratch=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cargo +nightly fuzz build --dev --fuzz-dir .
failed=0
table=$(printf '%-8s %12s %8s %8s %10s %7s' target executions 'per s' corpus bytes crash)
for target in $targets; do
  mkdir -p "corpus/$target" "artifacts/$target"
  crash=no
  TMPDIR=$scratch cargo +nightly fuzz run --dev --fuzz-dir . "$target" "corpus/$target" "seeds/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 \
    >"$scratch/log" 2>&1 || { crash=YES failed=1; tail -n 40 "$scratch/log"; }
  figure() { grep -oE "stat::$1: +[0-9]+" "$scratch/log" | grep -oE '[0-9]+$' || echo '?'; }
  table+=$(printf '\n%-8s %12s %8s %8s %10s %7s' "$target" "$(figure number_of_executed_units)" \
    "$(figure average_exec_per_sec)" "$(find "corpus/$target" -type f | wc -l)" \
    "$(find "corpus/$target" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }')" "$crash")
done
echo "$table"
exit "$failed"
