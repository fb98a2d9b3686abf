#!/bin/sh
# Stands for a package: starts the service as its unit does, and says what its maintainer script will say.
name=${2#./}
name=${name%%_*}
case $name in
  p2pd) run=p2pd socket=control ;;
  p2p-directory) run='p2p-directory serve' socket=admin ;;
esac
install -d -o "$name" -g "$name" -m 700 "/var/lib/$name"
install -d -o "$name" -g "$name" -m 755 "/run/$name"
setsid setpriv --reuid="$name" --regid="$name" --clear-groups env -i PATH="$PATH" \
  STATE_DIRECTORY="/var/lib/$name" RUNTIME_DIRECTORY="/run/$name" CONFIGURATION_DIRECTORY="/etc/$name" \
  $run </dev/null >"/var/log/$name" 2>&1 &
until [ -S "/run/$name/$socket.sock" ]; do sleep 0.05; done
exec "$name" first-steps
