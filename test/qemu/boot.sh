#!/busybox sh
# First process of a guest, in the initial RAM disk: finds the system image and hands over to it.
/busybox mount -t devtmpfs dev /dev
while read -r module; do /busybox insmod "/modules/$module"; done < /modules/order
/busybox mount -t ext4 -o ro /dev/vda /system || exit 1
/busybox mount -o move /dev /system/dev
exec /busybox switch_root /system /usr/bin/guest-init
