#!/usr/bin/env bash
# kwok.sh DIR: starts kwok against the control plane of DIR, for nodes with the annotation kwok.x-k8s.io/node=fake.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kube=${KUBE:-$("$here/build.sh")}
cd "$1"
"$kube" kwok --kubeconfig admin.kubeconfig --manage-nodes-with-annotation-selector kwok.x-k8s.io/node=fake \
  --node-lease-duration-seconds 40 --cidr 10.245.0.0/24 --node-ip 127.0.0.1 \
  --config "$here/kwok-stages.yaml" </dev/null >log/kwok.log 2>&1 &
echo $! >pid/kwok
