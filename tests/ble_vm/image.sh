#!/usr/bin/env bash
# Builds the small Debian machine of `make test-ble` from Debian's packages and PyPI's: a kernel, an initrd and a root in
# squashfs with bluetoothd, D-Bus, Python and the Bluetooth part of the kernel. The repository is not in it: the machine
# mounts it (machine.py), so a change of the code needs no new image.
#
#   image.sh SUITE DIR PYTHON REQUIREMENT...
#
# SUITE: trixie or bookworm. DIR: made anew, with vmlinuz, initrd.img, root.sqfs. PYTHON: one whose pip fetches the
# requirements, as wheels for the guest's Python. Needs mmdebstrap, tar2sqfs, and root or user namespaces.
set -euo pipefail

KERNEL=linux-image-amd64
PACKAGES=python3,bluez,dbus,kmod,busybox-static,xz-utils,cpio,ca-certificates
BOOT_MODULES="virtio_pci virtio_blk squashfs overlay 9p 9pnet_virtio"
MODULES="$BOOT_MODULES virtio_net hci_vhci algif_hash algif_skcipher cmac ecb cbc ccm ctr i2c-stub i2c-dev"

if [ "${1:-}" = --inside ]; then # mmdebstrap's hook: the root it has made is $2
    root=$2 out=$3 python=$4
    shift 4
    # --- the kernel, unpacked but not installed: its scripts would make an initrd of all modules
    chroot "$root" sh -c 'cd /tmp && apt-get download -qq "$(apt-cache depends '"$KERNEL"' | sed -n "s/.*Depends: //p" | head -1)"'
    mkdir "$root/tmp/kernel"
    dpkg-deb --fsys-tarfile "$root"/tmp/linux-image-*.deb | tar -x -C "$root/tmp/kernel" --exclude='./usr/share/doc/*'
    [ -d "$root/tmp/kernel/usr/lib/modules" ] && mods=usr/lib/modules || mods=lib/modules
    version=$(ls "$root/tmp/kernel/$mods")
    mkdir -p "$root/tmp/kernel/lib"
    [ -d "$root/tmp/kernel/lib/modules" ] || ln -s ../usr/lib/modules "$root/tmp/kernel/lib/modules"
    chroot "$root" depmod -b /tmp/kernel "$version"
    depends() { chroot "$root" modprobe -d /tmp/kernel -S "$version" --show-depends "$1" | sed -n 's/^insmod \([^ ]*\).*/\1/p'; }
    wanted=$(for name in $MODULES; do depends "$name" || echo "image: no module $name in $version" >&2; done | sort -u)
    for file in $wanted; do
        to=$root/usr/lib/modules/$version/${file#*/"$version"/}
        mkdir -p "${to%/*}"
        cp "$root$file" "$to"
    done
    cp "$root/tmp/kernel/$mods/$version/"modules.{builtin,order} "$root/usr/lib/modules/$version/"
    [ ! -e "$root/tmp/kernel/$mods/$version/modules.builtin.modinfo" ] ||
        cp "$root/tmp/kernel/$mods/$version/modules.builtin.modinfo" "$root/usr/lib/modules/$version/"
    chroot "$root" depmod "$version"
    cp "$root/tmp/kernel/boot/vmlinuz-$version" "$out/vmlinuz"
    # --- the initrd: what is needed to mount the root
    initrd=$root/tmp/initrd
    mkdir -p "$initrd"/{bin,dev,proc,sys,lower,upper,root,modules}
    cp "$root/bin/busybox" "$initrd/bin/"
    for name in $BOOT_MODULES; do depends "$name"; done | awk '!seen[$0]++' | while read -r file; do
        case $file in
        *.xz) xz -dc "$root$file" >"$initrd/modules/$(basename "$file" .xz)" ;;
        *) cp "$root$file" "$initrd/modules/" ;;
        esac
        basename "$file" .xz >>"$initrd/order"
    done
    cat >"$initrd/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev; $b mount -t proc proc /proc; $b mount -t sysfs sys /sys
while read -r name; do $b insmod "/modules/$name" || echo "initrd: no $name"; done < /order
$b mount -t squashfs -o ro /dev/vda /lower && $b mount -t tmpfs -o size=75% tmp /upper || $b poweroff -f
$b mkdir /upper/up /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/up,workdir=/upper/work over /root || $b poweroff -f
$b mkdir -p /root/repo /root/out
$b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=524288,cache=loose repo /root/repo || $b poweroff -f
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 out /root/out || $b poweroff -f
for place in dev proc sys; do $b mount --move /$place /root/$place; done
exec $b switch_root /root /bin/sh /repo/tests/ble_vm/guest.sh
INIT
    chmod +x "$initrd/init"
    (cd "$initrd" && find . | cpio -o -H newc --quiet | gzip -1) >"$out/initrd.img"
    # --- Python's packages
    site=$root/usr/local/lib/python-packages
    "$python" -m pip install --quiet --disable-pip-version-check --target "$site" --only-binary=:all: --implementation cp \
        --python-version "$(chroot "$root" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 "$@" 2>&1 | grep -v -i 'warning\|conflict\|which is not installed' >&2 || true
    chroot "$root" python3 -c 'import site; print(site.getsitepackages()[0])' | sed 's,^,/,;s,//,/,' | while read -r dir; do
        mkdir -p "$root$dir"
        echo /usr/local/lib/python-packages >"$root$dir/waypost.pth"
    done
    chroot "$root" python3 -c 'import bleak, bumble, nacl, microdot, pytest'
    rm -rf "$root"/tmp/* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/usr/share/{doc,man,locale,info}
    chroot "$root" sh -c "python3 -m compileall -q /usr/lib/python3* /usr/local/lib/python-packages" >/dev/null || true  # some hold code for other versions
    exit 0
fi

suite=$1 out=$2
shift 2
for tool in mmdebstrap tar2sqfs; do
    command -v $tool >/dev/null || { echo "image.sh: $tool is missing; tools/dev/setup.sh ble installs it" >&2; exit 1; }
done
case $suite in trixie | bookworm) ;; *) echo "image.sh: suite $suite; allowed: trixie, bookworm" >&2; exit 2 ;; esac
new=$out.new
rm -rf "$new"
mkdir -p "$new"
trap 'rm -rf "$new"' EXIT
words=$(printf ' %q' "$0" --inside) args=$(printf ' %q' "$new" "$@")
mmdebstrap --quiet --variant=minbase --include="$PACKAGES" --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook="$words \"\$1\"$args" "$suite" - | tar2sqfs --quiet --no-skip --no-xattr --force --compressor zstd "$new/root.sqfs"
rm -rf "$out"
mv "$new" "$out"
