#!/usr/bin/env bash
# Fills in a template of user-data, for whom Terraform does not:
#   render.sh directory package=URL|FILE sha256=HEX [names=NAME,...] [listen=ADDRESS,...] [account=NAME password_command=COMMAND]
#   render.sh peer package=URL|FILE sha256=HEX directory_url=URL ca_fingerprint=sha256:HEX [peer_name=NAME]
#     [listen=ADDRESS,...] [account=NAME password_command=COMMAND]
set -euo pipefail

fail() { echo "render: $1" >&2; exit 2; }

# A list, as TOML writes one.
list() { local quoted=${1//,/\", \"}; [ -z "$1" ] && echo '[]' || echo "[\"$quoted\"]"; }

# What a value may be: nothing that would end the quotes around it.
form() {
  case $1 in
    package) echo '^(https?:/)?/[A-Za-z0-9._~:/?&=%+@,-]+$' ;;
    sha256) echo '^[0-9a-f]{64}$' ;;
    names) echo '^([A-Za-z0-9.:-]+(,[A-Za-z0-9.:-]+)*)?$' ;;
    listen) echo '^[0-9A-Fa-f.:[]+]?:[0-9]+(,[0-9A-Fa-f.:[]+]?:[0-9]+)*$' ;;
    account) echo '^([a-z0-9][a-z0-9._-]{0,31})?$' ;;
    peer_name) echo '^([a-z0-9][a-z0-9._-]{0,62})?$' ;;
    directory_url) echo '^https://[][A-Za-z0-9.:-]+$' ;;
    ca_fingerprint) echo '^sha256:[0-9a-f]{64}$' ;;
    password_command) echo '^[[:print:]]*$' ;;
  esac
}

declare -A value=([account]="" [password_command]="")
case ${1:-} in
  directory) value+=([names]="" [listen]="[::]:7400") needed=(package sha256) ;;
  peer) value+=([peer_name]="" [listen]="[::]:7401") needed=(package sha256 directory_url ca_fingerprint) ;;
  *) fail "write: render.sh directory|peer KEY=VALUE..." ;;
esac
text=$(cat "$(dirname "$0")/$1.user-data.yaml")
for argument in "${@:2}"; do
  key=${argument%%=*}
  [[ $argument = *=* && $text = *"\${$key}"* && $key =~ ^[a-z0-9_]+$ ]] || fail "$1 has no parameter ${key@Q}"
  value[$key]=${argument#*=}
done
for key in "${needed[@]}"; do [ -n "${value[$key]:-}" ] || fail "$key is missing"; done
[ -z "${value[account]}" ] || [ -n "${value[password_command]}" ] || fail "account needs password_command"
for key in "${!value[@]}"; do
  [[ ${value[$key]} =~ $(form "$key") && ${value[$key]} != *'${'* ]] || fail "$key cannot be ${value[$key]@Q}"
  case $key in names | listen) value[$key]=$(list "${value[$key]}") ;; esac
  text=${text//"\${$key}"/"${value[$key]}"}
done
printf '%s\n' "$text"
