#!/usr/bin/env bash
# The user-data is what cloud-init takes, both ways to fill it in give the same, and the Terraform module is sound.
#   tests/packages/cloud.sh DEBOOTSTRAP_ROOT
# Root: Debian's cloud-init is installed over that root, not into it. TF_PLUGIN_DIR names a folder with Terraform's AWS
# provider, where its registry cannot be reached.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { echo "cloud: $*"; }
fail() { echo "cloud: $*" >&2; exit 1; }

[ $# = 1 ] || { echo "usage: $0 DEBOOTSTRAP_ROOT" >&2; exit 2; }
root=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

hash=$(printf '%064d' 7)
common=(package=https://packages.example/p.deb sha256="$hash" account=lab password_command='cat /root/password')
packaging/cloud/render.sh directory "${common[@]}" names=dir.lab,10.0.0.4 >"$work/directory"
packaging/cloud/render.sh peer "${common[@]}" directory_url=https://dir.lab:7400 ca_fingerprint="sha256:$hash" \
  peer_name=nas >"$work/peer"
packaging/cloud/render.sh peer package=/root/p.deb sha256="$hash" directory_url=https://dir.lab:7400 \
  ca_fingerprint="sha256:$hash" >"$work/peer-alone"

# What is wrong is refused: a quote, a missing value, a parameter that is none, an account without a password.
for wrong in "package=/p'.deb sha256=$hash" "sha256=$hash" "package=/p.deb sha256=7" "package=/p.deb sha256=$hash port=1" \
  "package=/p.deb sha256=$hash account=lab" "package=/p.deb sha256=$hash names=a\"b"; do
  read -ra words <<<"$wrong"
  ! packaging/cloud/render.sh directory "${words[@]}" >/dev/null 2>&1 || fail "render.sh takes $wrong"
done

# The shell in it is one, and no parameter is left.
for file in directory peer peer-alone; do
  ! grep -n '\${' "$work/$file" || fail "a parameter is left in $file"
  sed -n '/^  - |$/,$p' "$work/$file" | sed -e 1d -e 's/^    //' | dash -n || fail "the commands of $file are no shell"
done

schema() {
  mkdir "$work/upper" "$work/over" "$work/root"
  unshare --mount --propagation private bash -euo pipefail -s "$root" "$work" <<'INSIDE'
mount -t tmpfs tmpfs "$2/upper"
mkdir "$2/upper/files" "$2/upper/work"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper/files,workdir=$2/upper/work" "$2/root"
for name in proc sys dev; do mount --rbind "/$name" "$2/root/$name"; done
rm -rf "$2/root/etc/apt"
cp -rL /etc/apt "$2/root/etc/apt"
cp -L /etc/resolv.conf /etc/hosts "$2/root/etc/"
# Keyrings that the lists of packages name, and authorities of a mirror.
for keys in /usr/share/keyrings /etc/ssl /usr/local/share/ca-certificates; do
  [ ! -d "$keys" ] || { mkdir -p "$2/root$keys"; cp -rL "$keys/." "$2/root$keys/" 2>/dev/null || :; }
done
chroot "$2/root" sh -ec '
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update && apt-get -qq install -y --no-install-recommends cloud-init' >"$2/apt" 2>&1 ||
  { tail -n 20 "$2/apt" >&2; exit 1; }
cp "$2/directory" "$2/peer" "$2/peer-alone" "$2/root/root/"
for file in directory peer peer-alone; do
  chroot "$2/root" cloud-init schema --config-file "/root/$file"
done
chroot "$2/root" cloud-init --version 2>&1
# It finds what is wrong.
sed 's/^write_files:/write_file:/; s/^runcmd:/runcmd: 7\nx:/' "$2/root/root/peer" >"$2/root/root/wrong"
! chroot "$2/root" cloud-init schema --config-file /root/wrong >/dev/null 2>&1
INSIDE
}
if [ "$(id -u)" = 0 ]; then
  schema || fail "cloud-init does not take the user-data"
  ran="cloud-init schema"
else
  fail "needs root"
fi

# The templates, filled in by Terraform's own templatefile, which needs no provider.
same_by_terraform() {
  mkdir "$work/same"
  cat >"$work/same/main.tf" <<TEXT
locals {
  common = {
    package = "https://packages.example/p.deb", sha256 = "$hash", account = "lab", password_command = "cat /root/password"
  }
}
output "directory" {
  value = templatefile("$PWD/packaging/cloud/directory.user-data.yaml", merge(local.common, {
    listen = jsonencode(["[::]:7400"]), names = jsonencode(["dir.lab", "10.0.0.4"])
  }))
}
output "peer" {
  value = templatefile("$PWD/packaging/cloud/peer.user-data.yaml", merge(local.common, {
    listen = jsonencode(["[::]:7401"]), peer_name = "nas", directory_url = "https://dir.lab:7400", ca_fingerprint = "sha256:$hash"
  }))
}
TEXT
  local kind
  terraform -chdir="$work/same" apply -auto-approve -no-color >"$work/tf" 2>&1 || { cat "$work/tf" >&2; return 1; }
  for kind in directory peer; do
    # jsonencode leaves out the space in a list.
    diff <(sed 's/", "/","/g' "$work/$kind") <(terraform -chdir="$work/same" output -raw "$kind" 2>/dev/null) || return 1
  done
}

module() {
  cp -r packaging/cloud "$work/cloud"
  mkdir "$work/cloud/aws/tests"
  cp tests/packages/aws.tftest.hcl "$work/cloud/aws/tests/"
  local plugins=()
  [ -z "${TF_PLUGIN_DIR:-}" ] || plugins=(-plugin-dir="$TF_PLUGIN_DIR")
  if ! terraform -chdir="$work/cloud/aws" init -backend=false -input=false -no-color "${plugins[@]}" >"$work/tf" 2>&1; then
    not_run+=", terraform validate and test (no AWS provider: set TF_PLUGIN_DIR)"
    return 0
  fi
  terraform -chdir="$work/cloud/aws" validate -no-color 2>/dev/null || return 1
  ran+=", terraform validate"
  if terraform -chdir="$work/cloud/aws" test -help >/dev/null 2>&1; then
    terraform -chdir="$work/cloud/aws" test -no-color 2>/dev/null || return 1
    ran+=", terraform test with a stand-in for AWS"
  fi
}

# Without Terraform: it is HCL, and each variable is used.
hcl() {
  python3 -m venv "$work/venv" && "$work/venv/bin/pip" -q install python-hcl2 || return 1
  "$work/venv/bin/python" - packaging/cloud/aws/*.tf <<'PYTHON'
import re, sys, hcl2
text = "".join(open(name).read() for name in sys.argv[1:])
for name in sys.argv[1:]:
    hcl2.load(open(name))
declared = set(re.findall(r'^variable "(\w+)"', text, re.M))
used = set(re.findall(r"\bvar\.(\w+)", re.sub(r"(?s)validation \{.*?\n  \}", "", text)))
assert declared == used, declared ^ used
PYTHON
}

not_run="a cloud"
if command -v terraform >/dev/null; then
  terraform fmt -check -diff packaging/cloud/aws 2>/dev/null || fail "terraform fmt"
  terraform fmt -check -diff tests/packages 2>/dev/null || fail "terraform fmt"
  ran+=", terraform fmt -check"
  same_by_terraform || fail "templatefile and render.sh differ"
  ran+=", templatefile gives what render.sh gives"
  module || fail "the module is not sound"
else
  hcl || fail "the module is no HCL, or a variable is not used"
  ran+=", the module parsed as HCL"
  not_run+=", terraform, which is not installed"
fi
say "run: $ran"
say "not run: $not_run"
