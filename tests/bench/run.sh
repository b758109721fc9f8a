#!/usr/bin/env bash
# The measurements of `make bench`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
for tool in script; do
    command -v "$tool" >/dev/null || { echo "make bench needs $tool (Debian package: bsdutils)" >&2; exit 1; }
done
cargo build --locked --release -p hansard -p hansard-agent
cargo build --locked --release -p whole-system --example hello --example load --example fleet --example segments
cargo bench --locked -p policies --features other-engines --bench other_engines
cargo bench --locked -p persistence --bench lists --bench audit_verify
target=$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
export BENCHMARK_PROGRAMS="$target/release"
python="$here/../.setup/venv/bin/python"
"$python" "$here/gateway.py"
"$python" "$here/memory.py"
"$python" "$here/fleet.py"
"$python" "$here/segments.py"
"$python" "$here/unauthenticated.py"
"$python" "$here/record.py"
"$python" "$here/shells.py"
"$python" "$here/keystrokes.py"
"$python" "$here/transfers.py"
"$python" "$here/ordinary_work.py"
