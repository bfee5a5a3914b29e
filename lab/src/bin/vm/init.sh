#!/bin/busybox sh
# The first and only process of the virtual machine: makes it a system, runs the checks, turns it off.
#
# Whatever fails, it ends; the starter sees what is missing in the output. On the kernel's command line
# `observer_tests` names the tests to run, all if it is not there: the kernel makes it a variable of this script.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t securityfs securityfs /sys/kernel/security
ip link set lo up
# A kernel test that cannot run is a failure here, not a skip.
export CI=true
. /call.sh
poweroff -f
