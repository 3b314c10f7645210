#!/usr/bin/env bash
# control-plane.sh DIR [ADDRESS]: starts etcd, kube-apiserver, kube-controller-manager and kube-scheduler on ADDRESS
# (127.0.0.1), with state, logs, pids and kubeconfigs in DIR. KUBE names the binary (build.sh). A second one beside it
# needs PORT, ETCD_PORT and ETCD_PEER_PORT of its own.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kube=${KUBE:-$("$here/build.sh")}
dir=$(mkdir -p "$1" && cd "$1" && pwd)
address=${2:-127.0.0.1}
port=${PORT:-6443}
services=${SERVICES:-10.96.0.0/16}
pods=${PODS:-10.244.0.0/16}
read -r -a flags <<<"${APISERVER_FLAGS:-}"
if [[ $address == 127.* ]]; then
  flags+=(--endpoint-reconciler-type=none) # an Endpoints object may not name loopback
fi
mkdir -p "$dir"/{log,pid,pki,etcd}
cd "$dir"
start() { # start NAME COMMAND...
  local name=$1
  shift
  "$@" </dev/null >"log/$name.log" 2>&1 &
  echo $! >"pid/$name"
}
if [[ ! -e pki/sa.key ]]; then
  openssl genrsa -out pki/sa.key 2048 2>/dev/null
  openssl rsa -in pki/sa.key -pubout -out pki/sa.pub 2>/dev/null
fi
new_token() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
if [[ ! -e tokens.csv ]]; then
  (
    umask 077
    cat >tokens.csv <<T
$(new_token),admin,admin,"system:masters"
$(new_token),system:kube-controller-manager,kcm,""
$(new_token),system:kube-scheduler,scheduler,""
$(new_token),system:kube-proxy,proxy,""
$(new_token),system:node:node-1,node-1,"system:nodes"
T
  )
fi
config() { # config FILE USER: writes a kubeconfig
  local token
  token=$(awk -F, -v u="$2" '$2==u{print $1}' tokens.csv)
  (
    umask 077
    cat >"$1" <<C
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://$address:$port", certificate-authority: $dir/pki/apiserver.crt}}]
users: [{name: me, user: {token: "$token"}}]
contexts: [{name: test, context: {cluster: test, user: me}}]
current-context: test
C
  )
}
config admin.kubeconfig admin
config kcm.kubeconfig system:kube-controller-manager
config scheduler.kubeconfig system:kube-scheduler
config proxy.kubeconfig system:kube-proxy
config kubelet.kubeconfig system:node:node-1

start etcd "$kube" etcd --data-dir etcd --unsafe-no-fsync \
  --listen-client-urls "http://127.0.0.1:${ETCD_PORT:-2379}" --listen-peer-urls "http://127.0.0.1:${ETCD_PEER_PORT:-2380}"
start kube-apiserver "$kube" kube-apiserver \
  --etcd-servers "http://127.0.0.1:${ETCD_PORT:-2379}" \
  --bind-address "$address" --advertise-address "$address" --secure-port "$port" --cert-dir pki \
  --authorization-mode Node,RBAC --token-auth-file tokens.csv \
  --service-account-issuer https://kubernetes.default.svc \
  --service-account-key-file pki/sa.pub --service-account-signing-key-file pki/sa.key \
  --service-cluster-ip-range "$services" --allow-privileged \
  --kubelet-preferred-address-types InternalIP "${flags[@]}"
# The controller manager gives up where the apiserver's RBAC roles are not yet there
for _ in $(seq 600); do
  [[ "$(curl -s --max-time 2 --cacert pki/apiserver.crt "https://$address:$port/readyz" 2>/dev/null)" == ok ]] && break
  kill -0 "$(cat pid/kube-apiserver)"
  sleep 0.1
done
start kube-scheduler "$kube" kube-scheduler --kubeconfig scheduler.kubeconfig \
  --secure-port 0 --leader-elect=false
start kube-controller-manager "$kube" kube-controller-manager --kubeconfig kcm.kubeconfig \
  --secure-port 0 --leader-elect=false --use-service-account-credentials \
  --kube-api-qps 500 --kube-api-burst 1000 \
  --service-account-private-key-file pki/sa.key --root-ca-file pki/apiserver.crt \
  --allocate-node-cidrs --cluster-cidr "$pods" --service-cluster-ip-range "$services" \
  --controllers '*,-cloud-node-lifecycle-controller,-node-route-controller,-service-lb-controller'
# New namespaces need the controller manager: it makes their default ServiceAccount
admin=$(awk -F, '$2=="admin"{print $1}' tokens.csv)
for _ in $(seq 600); do
  curl -sf --max-time 2 --cacert pki/apiserver.crt -H "Authorization: Bearer $admin" -o /dev/null \
    "https://$address:$port/api/v1/namespaces/default/serviceaccounts/default" && exit 0
  sleep 0.1
done
echo "control-plane.sh: the controller manager made no ServiceAccount in time" >&2
exit 1
