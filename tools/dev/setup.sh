#!/usr/bin/env bash
# What a fresh Debian machine lacks: `setup.sh venv PYTHON DIR` makes the virtual environment (installing python3-venv
# where Debian split it off), `setup.sh tests` installs the programs that the tests drive, `setup.sh models` and
# `models-arm64` the compilers of tools/dev/models.sh. Only Debian's packages.
set -eu

apt_install() {
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo"
    if [ -n "$sudo" ] && ! command -v sudo >/dev/null; then
        echo "setup: need root to install: $*; run as root: apt-get install $*" >&2
        exit 1
    fi
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

case "${1:-}" in
venv)
    python=$2 dir=$3
    command -v "$python" >/dev/null || { apt_install python3 python3-venv; python=python3; }
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "setup: $python is $("$python" -V 2>&1), Waypost needs 3.11 or newer; try make PYTHON=python3.11" >&2
        exit 1
    }
    "$python" -m venv "$dir" 2>/dev/null || { rm -rf "$dir"; apt_install python3-venv; "$python" -m venv "$dir"; }
    ;;
tests)
    missing=()
    command -v ip >/dev/null || missing+=(iproute2)
    command -v chromium >/dev/null || missing+=(chromium)
    command -v node >/dev/null || missing+=(nodejs) # the second decoder of the protocol
    for shell in zsh fish; do # their completion scripts
        command -v $shell >/dev/null || missing+=($shell)
    done
    [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
    ;;
models | models-arm64)
    missing=()
    command -v g++ >/dev/null || missing+=(g++)
    if [ "$1" = models-arm64 ]; then
        command -v aarch64-linux-gnu-g++ >/dev/null || missing+=(g++-aarch64-linux-gnu)
        [ -e /usr/aarch64-linux-gnu/lib/libgomp.so.1 ] || missing+=(libgomp1-arm64-cross)
    fi
    [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
    ;;
*)
    echo "usage: setup.sh venv PYTHON DIR | tests | models | models-arm64" >&2
    exit 2
    ;;
esac
