#!/usr/bin/env bash
# The tour: each command of p2pctl and p2p-directory once, with what it really says, as docs/tour.md. `make tour` writes
# that page anew.
. "$(dirname "$0")/stage.sh"

# The folders of this run are nobody else's.
exec > >(sed -e "s|$P2P_STAGE/||g; s|$P2P_STAGE|~|g") 2>&1
filter=$!
fence() { printf '```\n'; }
part() { printf '\n## %s\n\n%s\n\n```text\n' "$1" "$2"; }
# Runs it, as `on` does, where another exit code than 0 is what is to be seen.
ends() {
  local code=0
  on "$@" || code=$?
  printf '%s$ echo $?\n%s\n' "$1" "$code"
}
# The same for the directory, whose configuration is not where it would be by default.
dir() {
  printf 'dir$ p2p-directory %s\n' "$*"
  admin "$@"
}
# On a terminal of its own, with these lines typed, each when it is asked for.
typed() {
  local peer=$1 command=$2
  shift 2
  printf '%s$ p2pctl %s\n' "$peer" "$command"
  (for line in "$@"; do
    sleep 1
    printf '%s\n' "$line"
  done) | (cd "$P2P_STAGE/$peer" && P2PCTL_SOCKET="$P2P_STAGE/$peer/run/control.sock" NO_COLOR=1 \
    script -qec "p2pctl $command" /dev/null) | tr -d '\r'
}
# The newest transfer of a peer.
newest() {
  (cd "$P2P_STAGE/$1" && p2pctl --socket run/control.sock transfers --json) | grep -o '"id":"[0-9]*"' | tail -n 1 | tr -dc 0-9
}

# Begins a command on a peer, which goes on; `id` is then the transfer that it began.
begins() {
  local peer=$1 before
  before=$(newest "$peer")
  printf '%s$ p2pctl %s &\n' "$peer" "${*:2}"
  (on "$@" >/dev/null 2>&1 || true) &
  pids+=($!)
  for _ in $(seq 100); do
    id=$(newest "$peer")
    [ "$id" != "$before" ] && (cd "$peer" && p2pctl --socket run/control.sock transfers) | grep -q transferring && return
    sleep 0.1
  done
  echo "nothing began on $peer" >&2
  return 1
}

cat <<'TEXT'
# Tour

Each command once, with what it really said: recorded by `make tour`, on one machine that plays a directory and three
peers, each on a port of its own. On machines of their own the directory is at port 7400 and peers are at 7401, and nobody
has to name a configuration.
TEXT

part "A directory" "One per network. It makes its own certificate authority; the fingerprint is what people compare once."
printf 'dir$ p2p-directory init\n'
mkdir directory
cat >directory/p2p-directory.toml <<CONF
state_dir = "$P2P_STAGE/directory/state"
CONF
admin init
rm -rf directory
printf 'dir$ p2p-directory serve --check-config\n'
start_directory
admin serve --check-config
printf 'dir$ p2p-directory serve &\n'
dir ca-fingerprint
printf 'dir$ p2p-directory admin user add ana\n'
admin admin user add ana | tee account
sed -n 's/.*shown once: //p' account >password
chmod 600 password
fence

part "Log in" "On each machine, once. A person is asked for what is missing; a script gives it."
for peer in ws1 gpu1 gpu2; do
  start_peer "$peer"
done
on ws1 login --directory "localhost:$dir_port" --user ana --password-file ../password --ca-fingerprint "$fingerprint"
on ws1 whoami
fence
for peer in gpu1 gpu2; do
  on "$peer" login --directory "localhost:$dir_port" --user ana --password-file ../password --ca-fingerprint "$fingerprint"
done >more-logins

part "Put a file in" "The content's hash is what \`b3sum\` prints. With \`--copies\` it returns once the copies are durable."
head -c $((64 << 20)) /dev/urandom >ws1/scan.tar
head -c 30000 /dev/urandom >ws1/notes.txt
on ws1 upload scan.tar --copies 2
on ws1 upload notes.txt --visibility private
on ws1 replicate notes.txt --to gpu2
fence

part "Find it" "From any machine, by a part of its name."
on gpu2 search scan
on gpu2 info scan.tar
on gpu2 peers
fence

part "Get it" "From every machine that has it, verified piece by piece. \`fetch\` keeps it here without a file."
on gpu2 download scan.tar -o got.tar
on gpu2 download scan.tar -o got.tar
on gpu1 fetch notes.txt
on gpu1 list
ends gpu2 download nope
fence

part "Look after it" "A pinned file stays until it is unpinned."
on gpu1 pin notes.txt
ends gpu1 rm notes.txt
on gpu1 unpin notes.txt
on gpu1 verify
on gpu1 rm notes.txt
on ws1 status
fence

part "Steer what moves" "Transfers go on in the daemon, whatever becomes of the command that began them."
on gpu1 limit --down 4MiB
head -c $((64 << 20)) /dev/urandom >ws1/big.tar
on ws1 upload big.tar >/dev/null 2>&1
begins gpu1 fetch big.tar
on gpu1 transfers
on gpu1 priority "$id" high
on gpu1 pause "$id"
on gpu1 resume "$id"
on gpu1 limit --down unlimited
on gpu1 wait "$id"
on gpu1 limit
fence

part "Give it up" "What came of a cancelled transfer is thrown away."
on gpu2 limit --down 1MiB
begins gpu2 fetch big.tar
on gpu2 cancel "$id"
fence

part "Watch" "One line an event, or with \`--json\` one object; it ends with Ctrl-C, or here with \`--timeout\`."
(sleep 1; cd ws1; echo hello | p2pctl --socket run/control.sock upload - --name hello.txt -q >/dev/null) &
uploading=$!
ends ws1 watch --timeout 4s
wait "$uploading"
fence

part "Without commands" "\`p2pctl menu\`, or \`p2pctl\` alone on a terminal, for people who do not want to learn any."
typed gpu2 menu 3 0
fence

part "In scripts" "Every command takes \`--json\`, and each kind of failure has an exit code of its own: [json.md](json.md), [scripting.md](scripting.md)."
on ws1 whoami --json
ends ws1 download nope --json
on ws1 completions bash >completions
printf 'ws1$ p2pctl completions bash | head -n 3\n'
sed -n 2,4p completions
fence

part "The account" "Passwords are typed on a terminal, or read from standard input."
typed gpu2 passwd "$(cat password)" willow-lantern-7-harbour willow-lantern-7-harbour
on gpu2 logout
fence

part "Administer" "Over the directory's admin socket, on its machine. Whoever may open that is admin."
dir admin status
dir admin user list
dir admin group add lab ana
dir admin group list
dir admin peer list
dir admin peer revoke gpu1
dir admin peer allow gpu1
dir admin group remove lab
dir admin user disable ana
dir admin user enable ana
dir admin user passwd ana
dir backup directory.tar
dir admin user remove ana
fence
# All of it is written when this ends.
exec >/dev/null 2>&1
wait "$filter"
