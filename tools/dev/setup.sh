#!/usr/bin/env bash
# What a fresh Debian machine lacks: `setup.sh venv PYTHON DIR` makes the virtual environment (installing python3-venv
# where Debian split it off), `setup.sh tests` installs the programs that the tests drive, `setup.sh models` and
# `models-arm64` the compilers of tools/dev/models.sh, `setup.sh image` what builds and starts the SD-card image,
# `setup.sh ble` what make test-ble boots a machine with. Only Debian's packages.
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
    command -v faketime >/dev/null || missing+=(faketime) # a box whose clock says 1970
    command -v chromium >/dev/null || missing+=(chromium)
    command -v dbus-daemon >/dev/null || missing+=(dbus-daemon)
    command -v node >/dev/null || missing+=(nodejs) # the second decoder of the protocol
    command -v mcopy >/dev/null || missing+=(mtools) # waypost flash
    command -v mkfs.vfat >/dev/null || missing+=(dosfstools)
    command -v busybox >/dev/null || missing+=(busybox-static) # the image's first program runs in it
    [ -x /usr/sbin/upsd ] || missing+=(nut-server) # its dummy UPS
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
ble)
    missing=()
    for program in mmdebstrap tar2sqfs:squashfs-tools-ng qemu-system-x86_64:qemu-system-x86; do
        command -v "${program%:*}" >/dev/null || missing+=("${program#*:}")
    done
    [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
    ;;
image)
    "$0" models-arm64
    missing=()
    for program in mmdebstrap arch-test mcopy:mtools mkfs.vfat:dosfstools sfdisk:fdisk update-binfmts:binfmt-support \
        qemu-aarch64-static:qemu-user-static qemu-system-aarch64:qemu-system-arm nbdkit; do
        command -v "${program%:*}" >/dev/null || missing+=("${program#*:}")
    done
    [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
    # the kernel runs arm64 programs by qemu-user, for as long as this machine is on
    if ! arch-test arm64 >/dev/null; then
        sudo=""
        [ "$(id -u)" = 0 ] || sudo="sudo"
        grep -q '^binfmt_misc ' /proc/mounts || {
            ! grep -q ' /proc/sys/fs/binfmt_misc binfmt_misc ' /proc/mounts || $sudo umount /proc/sys/fs/binfmt_misc
            $sudo mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
        }
        $sudo update-binfmts --enable qemu-aarch64 >/dev/null
        arch-test arm64 >/dev/null || {
            echo "setup: arm64 programs can't be run here: the kernel needs CONFIG_BINFMT_MISC" >&2
            exit 1
        }
    fi
    ;;
*)
    echo "usage: setup.sh venv PYTHON DIR | tests | models | models-arm64 | ble | image" >&2
    exit 2
    ;;
esac
