#!/usr/bin/env bash
# down.sh DIR: ends what control-plane.sh and kwok.sh started in DIR, by pid. With SIGKILL, as the state is thrown away:
# a graceful end of the API server takes 10 s and more.
set -uo pipefail
cd "$1" 2>/dev/null || exit 0
for name in kwok kube-scheduler kube-controller-manager kube-apiserver etcd; do
  if [[ -e pid/$name ]]; then
    kill -KILL "$(cat "pid/$name")" 2>/dev/null
  fi
  rm -f "pid/$name"
done
exit 0
