#!/bin/sh
# Runs the node's tests inside the image's own Debian root (arm64) under qemu-user: with another
# Python, SQLite, libsodium and kernel interface than this machine's. Slow: ten times this machine's time.
#
#   images/test/suite_arm64.sh [what pytest is told; default: tests]
#
# Needs root, for a mount namespace of its own; leaves nothing mounted.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/waypost/image
tar=$(ls -t "$cache"/root-*/root.tar | head -n 1)
root=$cache/arm64-root
if [ ! -e "$root/.made" ] || [ "$tar" -nt "$root/.made" ]; then
    rm -rf "$root"
    mkdir -p "$root"
    tar -xf "$tar" -C "$root" --exclude='./dev/*'
    version=$(ls "$root"/usr/lib | sed -n 's/^python\(3\.[0-9]*\)$/\1/p')
    "$here/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --target "$root/opt/tests" \
        --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 --platform any --python-version "$version" \
        --only-binary=:all: microdot sqlite-utils zeroconf 'cbor2>=5.6,<6' pycose hypothesis pytest zcbor bleak
    touch "$root/.made"
fi
exec unshare --mount --propagation private sh -eu -c '
    root=$1 here=$2
    shift 2
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/tmp"
    mount -t tmpfs tmpfs "$root/run"
    mkdir -p "$root/tmp/src"
    (cd "$here" && git ls-files -z | xargs -0 tar -cf -) | tar -xf - -C "$root/tmp/src"
    exec env -i HOME=/tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 PYTHONPATH=/opt/tests WAYPOST_EMULATED=1 \
        chroot "$root" sh -c "ip link set lo up 2>/dev/null; cd /tmp/src && exec python3 -m pytest \"\$@\"" sh "$@"
' sh "$root" "$here" "${@:-tests}"
