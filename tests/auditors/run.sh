#!/usr/bin/env bash
# What two auditors' tools find in an account here, compared with what is true. Installs them, each in an environment of
# its own below tests/.setup, on the first run: more than 2 GB.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
setup="$here/../.setup"
cd "$here/../.."

installed() { # name of the auditor
    local venv="$setup/$1" wanted="$here/requirements-$1.txt"
    if ! cmp -s "$wanted" "$venv/requirements.installed"; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
        cp "$wanted" "$venv/requirements.installed"
    fi
}
installed prowler
installed scoutsuite

cargo build --locked --workspace --bins
target=$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
BENCHMARK_PROGRAMS="$target/debug" PROWLER_PYTHON="$setup/prowler/bin/python" \
    SCOUTSUITE_PYTHON="$setup/scoutsuite/bin/python" exec "$setup/venv/bin/python" "$here/audit.py"
