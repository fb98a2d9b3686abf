#!/usr/bin/env bash
# Makes the layers of the Debian machines that packages are tested on, in the folder $1, once: `plain` by debootstrap, and
# over it `rpm` and `cloud`. Needs root, debootstrap and the packages that apt is set up for.
set -euo pipefail
out=${1:?a folder}
suite=bookworm
recipe=$(sha256sum "$0" | cut -d' ' -f1)
[ "$(cat "$out/ready" 2>/dev/null)" != "$recipe" ] || exit 0

# The first one that apt is set up for, in either of its formats.
mirror=$(
  { cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list /etc/apt/sources.list 2>/dev/null || true; } |
    sed 's/\[[^]]*\]//' | awk '$1 == "URIs:" || $1 == "deb" { print $2; exit }'
)
[ -n "$mirror" ] || { echo "apt has no sources here" >&2; exit 1; }

mkdir -p "$out"
out=$(realpath "$out")
work=$(mktemp -d "$out/making.XXXXXX")
trap 'umount -l "$work/root" 2>/dev/null || true; rm -rf "$work"' EXIT
rm -rf "$out"/{plain,rpm,cloud,ready}

debootstrap --variant=minbase \
  --include=systemd,systemd-sysv,dbus,iproute2,ca-certificates,sudo,init-system-helpers,bash-completion,man-db "$suite" "$work/plain" \
  "$mirror" >"$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; }
# An administrator with an account that is no person's, as images for servers have it, and a person.
chroot "$work/plain" sh -euc '
  useradd --system --uid 900 --user-group --create-home --shell /bin/bash admin
  useradd --uid 1000 --create-home --shell /bin/bash ana
  chmod 0755 /home/admin
  chmod 0700 /home/ana
  install -d -o ana -g ana /data
  echo "admin ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/admin
  rm -f /etc/machine-id /etc/hostname
  : >/etc/machine-id
  apt-get clean'

# What apt is asked to do over the layer `plain`, kept as the layer $1.
layer() {
  mkdir "$work/$1" "$work/$1.work" "$work/root" 2>/dev/null || true
  mount -t overlay overlay -o "lowerdir=$work/plain,upperdir=$work/$1,workdir=$work/$1.work" "$work/root"
  # Nothing is started there.
  printf '#!/bin/sh\nexit 101\n' >"$work/root/usr/sbin/policy-rc.d"
  chmod 755 "$work/root/usr/sbin/policy-rc.d"
  chroot "$work/root" sh -euc "$2" >"$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; }
  rm "$work/root/usr/sbin/policy-rc.d"
  umount "$work/root"
}

layer cloud '
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends cloud-init
  apt-get clean'

# The database of rpm knows nothing of what dpkg installed; a package without files says that it is there.
layer rpm '
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends rpm
  apt-get clean'

mv "$work"/{plain,cloud,rpm} "$out"
echo "$recipe" >"$out/ready"
