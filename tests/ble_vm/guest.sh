#!/bin/sh
# Process 1 of the machine that machine.py boots: just enough of a Debian system for bluetoothd, then the task, then off.
# The task and its exit code are files of this run's folder, /out/<run>. It mounts nothing of the host for writing but
# /out. Tests start and stop bluetoothd themselves; what it says goes to bluetoothd.log there.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH HOME=/root LANG=C.UTF-8 PYTHONPATH=/repo
run=/out/$(sed 's/.*waypost.run=\([^ ]*\).*/\1/' /proc/cmdline)
export WAYPOST_VM_RUN="$run"
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /dev/pts /dev/shm /run/dbus /run/lock
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
busybox ip link set lo up
modprobe hci_vhci || echo "guest: no hci_vhci"
dbus-uuidgen --ensure
dbus-daemon --system --nopidfile || echo "guest: no D-Bus"
cd /repo || busybox poweroff -f
sh "$run/task" </dev/null >/dev/ttyS0 2>&1
echo $? >"$run/rc"
sync
busybox poweroff -f
