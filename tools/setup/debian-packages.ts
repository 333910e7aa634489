/**
 * What the tests and the laboratory need from Debian. Nothing of it is installed: debian.ts unpacks it into the cache.
 */

/** Packages taken from the suite of the machine itself. */
export const PACKAGES: readonly string[] = [
  'busybox-static',
  'conntrack',
  'coturn',
  'e2fsprogs',
  'iperf3',
  'iproute2',
  'iputils-ping',
  'kmod',
  'nats-server',
  'nftables',
  'qemu-system-x86',
  'tinyproxy-bin',
  'wireguard-tools',
];

/** The oldest wireguard-go that joins packets on the tunnel device (GSO); older ones move TCP at a fifth of the speed. */
export const OLDEST_WIREGUARD_GO = '0.0.20231211';

/** Suites whose own wireguard-go is too old, so that it comes from their backports. */
export const WIREGUARD_GO_FROM_BACKPORTS: ReadonlySet<string> = new Set(['bookworm']);

/** Package that always depends on the newest kernel for virtual machines; the image itself carries a version. */
export const KERNEL_METAPACKAGE = 'linux-image-cloud-amd64';

/** Commands that get a launcher in the cache's bin folder. */
export const COMMANDS: readonly string[] = [
  'bridge',
  'busybox',
  'conntrack',
  'debugfs',
  'depmod',
  'e2fsck',
  'ip',
  'iperf3',
  'mke2fs',
  'nats-server',
  'nft',
  'ping',
  'qemu-system-x86_64',
  'ss',
  'tc',
  'tinyproxy',
  'turnserver',
  'turnutils_natdiscovery',
  'turnutils_peer',
  'turnutils_stunclient',
  'turnutils_uclient',
  'wg',
  'wireguard-go',
];

/**
 * Packages that every Debian has and whose files must come from the machine: a program of the cache runs by the
 * machine's dynamic loader, and loader and C library belong together.
 */
export const PACKAGES_OF_EVERY_MACHINE: readonly string[] = [
  'libc6',
  'libc-bin',
  'libcrypt1',
  'libgcc-s1',
  'gcc-12-base',
  'gcc-14-base',
];

/** Packages that the wanted ones name because they configure a system. Unpacked programs run without them. */
export const PACKAGES_NOT_NEEDED: readonly string[] = [
  'adduser',
  'adwaita-icon-theme',
  'dbus',
  'debconf',
  'default-dbus-system-bus',
  'default-logind',
  'dpkg',
  'init-system-helpers',
  'initramfs-tools',
  'libpam-runtime',
  'libpam-systemd',
  'linux-base',
  'logrotate',
  'lsb-base',
  'mariadb-common',
  'mysql-common',
  'perl',
  'perl-base',
  'python3',
  'sqlite3',
  'systemd',
  'sysvinit-utils',
  'tar',
  'telnet',
  'ucf',
  'udev',
];
