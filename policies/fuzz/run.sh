#!/usr/bin/env bash
# Fuzzes each target (or those that are named) for HANSARD_TEST_FUZZ_SECONDS, 60 if that is not set. A finding ends it
# with the input in artifacts/. What was learnt stays in corpus/ for the next time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
seconds=${HANSARD_TEST_FUZZ_SECONDS:-60}
command -v c++ >/dev/null || { echo "fuzzing needs a C++ compiler for libFuzzer (Debian package: g++)" >&2; exit 1; }
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
# The crate has no unsafe code, so no sanitizer: it runs faster, and nothing beyond the stable toolchain is needed.
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo fuzz list --fuzz-dir .)
cargo fuzz build --fuzz-dir . --sanitizer none
for target in "${targets[@]}"; do
    case $target in
        parse_document | check) options=(seeds/document -- -dict=ram.dict) ;;
        testing) options=(seeds/testing -- -dict=ram.dict) ;;
        *) options=(--) ;;
    esac
    mkdir -p "corpus/$target"
    echo "fuzzing $target for $seconds s"
    # An input that takes twenty seconds is a finding as well.
    cargo fuzz run --fuzz-dir . --sanitizer none "$target" "corpus/$target" "${options[@]}" \
        -max_total_time="$seconds" -max_len=8192 -timeout=20 -print_final_stats=1 -verbosity=0
done
