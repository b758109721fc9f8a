#!/usr/bin/env bash
# Installs what the whole-system tests need: Debian packages, the vendor's SDKs, the browser driver; with the argument
# `deep`, also what `make test-deep` needs. Run by `make test`; safe to run again; does nothing that is already done.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
stamp_dir="$here/.setup"
mkdir -p "$stamp_dir"

missing=()
need() { # command-or-file, Debian package
    if [[ "$1" == /* ]]; then compgen -G "$1" >/dev/null || missing+=("$2"); else command -v "$1" >/dev/null || missing+=("$2"); fi
}
need cc gcc
need "/usr/lib/postgresql/*/bin/initdb" postgresql
need /usr/sbin/mariadbd mariadb-server
need chromium chromium
need vim.tiny vim-tiny
need htop htop
need less less
need zstd zstd
need node nodejs
need npm npm
need python3 python3
need setpriv util-linux
need pgrep procps
need scp openssh-client
need /usr/lib/openssh/sftp-server openssh-sftp-server
need rsync rsync
need /usr/sbin/sshd openssh-server
need sudo sudo
need tmux tmux
need screen screen
need openssl openssl
need git git
need systemd-analyze systemd
python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)

if ((${#missing[@]})); then
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        echo "installing: ${missing[*]}"
        apt-get update -qq
        # policy-rc.d keeps package scripts from starting servers: the tests start their own.
        guard=/usr/sbin/policy-rc.d
        if [[ ! -e $guard ]]; then printf '#!/bin/sh\nexit 101\n' >"$guard"; chmod +x "$guard"; trap 'rm -f "$guard"' EXIT; fi
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        echo "make test: these Debian packages are missing and this user may not install them: ${missing[*]}" >&2
        exit 1
    fi
fi

# What builds the console wants a newer Node than Debian 12 has.
node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' || {
    echo "make test: Node.js 20.19 or newer is needed, and this is $(node --version)" >&2
    exit 1
}

environment() { # requirements, name of the environment, what says that it is there
    if ! cmp -s "$here/$1" "$stamp_dir/$3"; then
        rm -rf "${stamp_dir:?}/$2"
        python3 -m venv "$stamp_dir/$2"
        "$stamp_dir/$2/bin/pip" install --quiet --disable-pip-version-check -r "$here/$1"
        cp "$here/$1" "$stamp_dir/$3"
    fi
}
# The vendor's Python SDKs, asciinema and zstandard, in an environment of their own; and the tools of the deep tests in another.
environment requirements.txt venv requirements.installed
if [[ ${1:-} == deep ]]; then environment requirements-deep.txt deep requirements-deep.installed; fi

# The vendor's Node SDKs and the browser driver; and what builds the console.
for folder in "$here/sdk" "$here/../console"; do
    if ! cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed-lock"; then
        (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error)
        cp "$folder/package-lock.json" "$folder/node_modules/.installed-lock"
    fi
done

# What reads deny.toml. Without optimisation it is built in a third of the time.
deny_version=0.20.2
if [[ $("$stamp_dir/cargo-deny/bin/cargo-deny" --version 2>/dev/null) != "cargo-deny $deny_version" ]]; then
    CARGO_TARGET_DIR="$stamp_dir/cargo-deny/target" cargo install --quiet --locked --debug \
        --root "$stamp_dir/cargo-deny" --version "$deny_version" cargo-deny
    rm -rf "$stamp_dir/cargo-deny/target"
fi
