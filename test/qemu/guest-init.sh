#!/bin/sh
# Init of a guest: unpacks the job, runs it, reports its exit status and powers off.
# Serial ports: 0 the kernel's console, 1 the job's output, 2 its exit status.
export PATH=/usr/bin HOME=/root NO_COLOR=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mkdir -p /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs job /job
ln -s /proc/self/fd /dev/fd
for stream in stdin:0 stdout:1 stderr:2; do ln -s "fd/${stream#*:}" "/dev/${stream%:*}"; done
hostname guest
ip link set lo up
stty -F /dev/ttyS1 raw -echo
stty -F /dev/ttyS2 raw -echo
tar -xf /dev/vdb -C /job
cd /job
node --enable-source-maps script.mjs < /dev/null > /dev/ttyS1 2>&1
echo "$?" > /dev/ttyS2
poweroff -f
