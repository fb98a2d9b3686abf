#!/usr/bin/env bash
# Builds the three images of packaging/container and runs its compose.yaml, by podman, without a registry: the base image
# is a root file system made by debootstrap. Root, on Debian; installs podman where it is missing.
#   tests/packages/containers.sh DEBOOTSTRAP_ROOT FOLDER_WITH_THE_PROGRAMS
set -euo pipefail

say() { echo "containers: $*"; }
fail() { echo "containers: $*" >&2; exit 1; }
# Without its words on the timers that no service manager keeps for it here.
podman() { command podman --log-level fatal "$@"; }

# Podman, and podman-compose, which gives it what a compose file says.
install_engine() {
  local missing=() package
  for package in podman crun netavark aardvark-dns iptables podman-compose; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installs ${missing[*]}"
  apt-get -q update >/dev/null
  # A machine for tests has no service manager that they would have to tell.
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

# The engine's files in $work, its network and its mounts in namespaces of their own: nothing of the machine changes.
isolate() {
  ip link set lo up
  mount -t tmpfs tmpfs /run
  mkdir -p /etc/containers
  mount -t tmpfs tmpfs /etc/containers
  umount -R /sys/fs/cgroup || true
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  echo '{"default": [{"type": "insecureAcceptAnything"}]}' >/etc/containers/policy.json
  # Without groups of processes and rlimits of its own, which not every machine for tests may give.
  cat >"$work/containers.conf" <<TEXT
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:$(ulimit -Hn)", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "$work/networks"
TEXT
  # One overlay on another is none.
  local driver=overlay
  [ "$(stat --file-system --format %T "$work")" != overlayfs ] || driver=vfs
  cat >"$work/storage.conf" <<TEXT
[storage]
driver = "$driver"
graphroot = "$work/images"
runroot = "$work/running"
TEXT
  export CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf
}

cleanup() {
  podman rm --all --force --depend --time 0
  podman network rm --force p2p_p2p
} >/dev/null 2>&1

# The Dockerfile's steps, for each of its images.
build() {
  mkdir -p "$work/source/target/dist" "$work/source/packaging"
  cp -r "$sources/packaging/container" "$work/source/packaging/"
  cp "$programs"/{p2pd,p2pctl,p2p-directory} "$work/source/target/dist/"
  tar -C "$root" --one-file-system --exclude=./var/cache --exclude=./var/lib/apt/lists -c . |
    podman import --quiet - base >/dev/null
  for image in p2pd p2pctl p2p-directory; do
    podman build --quiet --isolation chroot --format docker --pull-never --tag "$image" --target "$image" \
      --file "$work/source/packaging/container/Dockerfile" --build-arg BASE_IMAGE=localhost/base \
      --build-arg PROGRAMS=local "$work/source" >/dev/null
    say "image $image: $(podman image inspect --format '{{.Size}}' "$image") bytes, user" \
      "$(podman image inspect --format '{{.User}}' "$image")"
  done
}

compose() { (cd "$work/source/packaging/container" && podman-compose --project-name p2p "$@"); }
# As docker compose exec -T does.
inside() { podman exec --interactive "p2p_${1}_1" "${@:2}"; }
healthy() { podman healthcheck run "p2p_${1}_1" >/dev/null 2>&1; }

# Until the image's own health check says yes, as an engine would ask it.
until_healthy() {
  local try
  for try in {1..100}; do
    healthy "$1" && return
    sleep 0.2
  done
  podman logs "p2p_${1}_1" >&2
  fail "$1 is not healthy ($try tries)"
}

# The process runs as this user without rights, is number one, and has no dead children.
check_process() {
  local pid status
  pid=$(podman inspect --format '{{.State.Pid}}' "p2p_${1}_1")
  status=$(cat "/proc/$pid/status")
  grep -qP "^Uid:\t$2\t$2\t$2\t$2\$" <<<"$status" || fail "$1 does not run as $2"
  grep -qP '^CapEff:\t0+$' <<<"$status" || fail "$1 has capabilities"
  grep -qP '^NSpid:.*\t1$' <<<"$status" || fail "$1 is not process 1"
  # Its health check has run many times by now.
  ! ps -eo ppid,stat | grep -qP "^ *$pid Z" || fail "$1 has zombies"
}

first_hour() {
  local password fingerprint peer
  until_healthy directory
  password=$(inside directory p2p-directory admin user add ana | sed 's/.*shown once: //')
  fingerprint=$(inside directory p2p-directory ca-fingerprint)
  for peer in ws1 ws2 ws3; do
    until_healthy "$peer"
    inside "$peer" p2pctl login --user ana --ca-fingerprint "$fingerprint" --password-stdin <<<"$password" 2>&1
  done
  head -c 20000000 /dev/urandom >"$work/scan.tar"
  inside ws1 p2pctl --no-progress upload - --name scan.tar --copies 2 <"$work/scan.tar"
  inside ws3 p2pctl --no-progress download scan.tar -o - >"$work/came"
  cmp "$work/scan.tar" "$work/came" || fail "ws3 got something else"
  # The tool's own image, by the socket in the volume.
  podman run --rm --network none --read-only --volume p2p_ws1-run:/run/p2pd p2pctl list | grep scan.tar ||
    fail "the image p2pctl does not see what ws1 has"
  # A peer that logs itself in, told by variables alone.
  install -m 600 -o 991 -g 991 /dev/null "$work/password"
  echo "$password" >"$work/password"
  podman run --detach --name p2p_ws4_1 --hostname ws4 --network p2p_p2p --read-only --cap-drop all \
    --volume p2p_ws4-run:/run/p2pd --volume "$work/password:/run/secrets/password:ro" --env P2PD_LOGIN__USER=ana \
    --env P2PD_LOGIN__PASSWORD_FILE=/run/secrets/password --env "P2PD_LOGIN__CA_FINGERPRINT=$fingerprint" \
    --env P2PD_DIRECTORY__URLS=https://directory:7400 p2pd >/dev/null
  until_healthy ws4
  local try
  for try in {1..100}; do
    if inside ws4 p2pctl whoami >/dev/null 2>&1; then break; fi
    [ "$try" -lt 100 ] || fail "ws4 does not log itself in"
    sleep 0.2
  done
  inside ws4 p2pctl --no-progress download scan.tar -o - | cmp - "$work/scan.tar" || fail "ws4 got something else"
  # A user of the host, with a folder of the host: the machine's session is his too, and the file is as he may make it.
  install -d -m 700 -o 1234 -g 1234 "$work/home"
  podman run --rm --network none --user 1234:991 --volume p2p_ws4-run:/run/p2pd --volume "$work/home:/data" p2pctl \
    --no-progress download scan.tar -o /data/
  cmp "$work/scan.tar" "$work/home/scan.tar" || fail "the user's folder got something else"
  check_process directory 992
  for peer in ws1 ws2 ws3 ws4; do
    healthy "$peer" || fail "$peer is not healthy any more"
    check_process "$peer" 991
  done
  ! (podman logs p2p_directory_1; podman logs p2p_ws1_1; podman logs p2p_ws4_1) 2>&1 | grep -F "$password" ||
    fail "a password is in a log"
}

# SIGTERM ends each with 0 within its limit; what it kept is there when it starts again.
stop_and_start() {
  local name code
  for name in ws1 ws2 ws3 ws4 directory; do
    podman stop --time 20 "p2p_${name}_1" >/dev/null
    code=$(podman inspect --format '{{.State.ExitCode}}' "p2p_${name}_1")
    [ "$code" = 0 ] || fail "$name ended with $code"
  done
  podman start p2p_directory_1 p2p_ws1_1 >/dev/null
  until_healthy directory
  until_healthy ws1
  inside ws1 p2pctl whoami
  inside ws1 p2pctl list | grep scan.tar || fail "ws1 lost its file"
}

main() {
  trap cleanup EXIT
  isolate
  build
  compose up -d --no-build >"$work/up" 2>&1 || { cat "$work/up" >&2; fail "compose.yaml does not come up"; }
  first_hour
  stop_and_start
  say "run, by podman $(podman version --format '{{.Client.Version}}'): the Dockerfile's steps with PROGRAMS=local for" \
    "three images; compose.yaml's directory and three peers by podman-compose; first hour, health checks, stop, start."
  say "not run: the stage that compiles (RUST_IMAGE comes from a registry); docker itself; the order by health in" \
    "compose.yaml, which this podman does not know, and an engine's own timer of health checks."
}

if [ "${1:-}" = --isolated ]; then
  work=$2 root=$3 programs=$4 sources=$5
  main
  exit
fi

[ $# = 2 ] || { echo "usage: $0 DEBOOTSTRAP_ROOT FOLDER_WITH_THE_PROGRAMS" >&2; exit 2; }
[ "$(id -u)" = 0 ] || fail "needs root"
root=$(realpath "$1") programs=$(realpath "$2") sources=$(realpath "$(dirname "$0")/../..")
for program in p2pd p2pctl p2p-directory; do [ -x "$programs/$program" ] || fail "$programs has no $program"; done
install_engine
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unshare --mount --net --propagation private "$0" --isolated "$work" "$root" "$programs" "$sources"
