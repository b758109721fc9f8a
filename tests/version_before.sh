#!/bin/sh
# Builds the control plane of the version before in the folder that is named, so that a test can run it beside this one.
set -eu

# The last commit before calls were committed in groups and audit rows could be pruned.
commit=fc63da58

cd "$(dirname "$0")/.."
[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
git cat-file -e "$commit^{commit}" || {
    echo "$0: this checkout has no commit $commit; fetch the whole history (git fetch --unshallow)" >&2
    exit 1
}
mkdir -p "$folder/source"
git archive "$commit" | tar -x -C "$folder/source"
cd "$folder/source"
CARGO_TARGET_DIR="$folder/target" CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0 \
    cargo build --locked -p hansard --bin hansard
echo "$folder/target/debug/hansard"
