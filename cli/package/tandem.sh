#!/bin/sh
# Starts Tandem with the Node that stands beside it. Nothing of this machine is needed but a shell and glibc.
self=$0
while [ -L "$self" ]; do
  to=$(readlink "$self")
  case $to in /*) self=$to ;; *) self=${self%/*}/$to ;; esac
done
folder=$(cd "${self%/*}/.." && pwd) || exit 1
exec "$folder/lib/node" "$folder/lib/tandem.js" "$@"
