#!/usr/bin/env bash
# node.sh up DIR | exec DIR COMMAND... | down DIR
# A whole cluster with one real node (containerd, kubelet, CNI bridge, kube-proxy, CoreDNS, a fake GPU plugin) in network,
# mount and process namespaces of its own. The host gets one veth end (10.200.0.1; the node is 10.200.0.2) and routes to
# pods and Services; nothing else of it changes but cgroups named kubetest, which `down` removes. One per machine.
#   IMAGES=DIR   image archives that are loaded (images.sh); GPUS=2; PROXY_MODE=nftables|iptables; APISERVER_FLAGS
set -Eeuo pipefail
here=$(cd "$(dirname "$0")" && pwd)
node_ip=10.200.0.2 host_ip=10.200.0.1 pods=10.244.0.0/16 services=10.96.0.0/16
verb=${1:-}
if [[ $# -lt 2 || ! $verb =~ ^(up|exec|down)$ ]]; then
  echo "usage: node.sh up|exec|down DIR [COMMAND...]" >&2
  exit 2
fi
dir=$(mkdir -p "$2" && cd "$2" && pwd)
shift 2

inside() { nsenter --target "$(cat "$dir/pid/holder")" --net --mount --pid -- "$@"; }
start() { # start NAME COMMAND...: a daemon inside; every descriptor redirected, or a pipe of the caller's stays open
  local name=$1
  shift
  inside "$@" </dev/null >"$dir/log/$name.log" 2>&1 &
}

down() {
  local holder cgroup
  if holder=$(cat "$dir/pid/holder" 2>/dev/null); then
    # the first process of the process namespace: all in it die with it
    kill -KILL "$holder" 2>/dev/null || true
    for _ in $(seq 100); do
      kill -0 "$holder" 2>/dev/null || break
      sleep 0.1
    done
  fi
  rm -f "$dir"/pid/*
  ip link delete ktest0 2>/dev/null || true
  for _ in $(seq 50); do # a cgroup can go when its last process was reaped
    for cgroup in /sys/fs/cgroup/*/kubetest /sys/fs/cgroup/kubetest; do
      if [[ -d $cgroup ]]; then
        find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
      fi
    done
    compgen -G '/sys/fs/cgroup/*/kubetest' >/dev/null || [[ -d /sys/fs/cgroup/kubetest ]] || return 0
    sleep 0.2
  done
  echo "node.sh: cgroups named kubetest stayed" >&2
  return 1
}

namespaces() {
  unshare --net --mount --pid --fork --mount-proc --kill-child=SIGKILL sleep infinity </dev/null >/dev/null 2>&1 &
  local outer=$! holder name
  until holder=$(pgrep -P $outer sleep); do
    kill -0 $outer
    sleep 0.05
  done
  echo "$holder" >"$dir/pid/holder"
  inside mount --make-rprivate /
  inside mount -t tmpfs tmpfs /run
  inside mkdir -p /run/netns /run/lock /var/lib/kubelet /var/lib/cni
  inside mount -t tmpfs tmpfs /var/lib/cni
  # the folder for device plugins is fixed, whatever --root-dir says
  inside mount --rbind "$dir/kubelet" /var/lib/kubelet
  # the kubelet sets these at its start, and they are the machine's: let it write to files of ours
  for name in vm/overcommit_memory kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    cat "/proc/sys/$name" >"$dir/sysctl/${name//\//.}"
    inside mount --bind "$dir/sysctl/${name//\//.}" "/proc/sys/$name"
  done
}

network() {
  ip link add ktest0 type veth peer name eth0 netns "$(cat "$dir/pid/holder")"
  ip addr add $host_ip/30 dev ktest0
  ip link set ktest0 up
  inside ip link set lo up
  inside ip addr add $node_ip/30 dev eth0
  inside ip link set eth0 up
  inside ip route add default via $host_ip # goes nowhere: the host does not forward
  inside sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
  ip route add $pods via $node_ip
  ip route add $services via $node_ip
}

cgroups() {
  local controller file
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then # version 2: the kubelet makes its own
    mkdir -p /sys/fs/cgroup/kubetest
    return
  fi
  for controller in /sys/fs/cgroup/*/; do
    case $controller in */unified/ | */systemd/) continue ;; esac
    mkdir -p "$controller/kubetest"
    if [[ -e $controller/cpuset.cpus ]]; then
      for file in cpuset.cpus cpuset.mems; do cat "$controller/$file" >"$controller/kubetest/$file"; done
    fi
  done
  mkdir -p /sys/fs/cgroup/systemd/kubetest
}

runtime() {
  cat >"$dir/cni/10-bridge.conflist" <<C
{"cniVersion": "1.0.0", "name": "bridge", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
C
  # without CAP_SYS_RESOURCE no OOM score may be lowered
  cat >"$dir/containerd.toml" <<C
version = 2
root = "$dir/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$dir/cni"
C
  start containerd containerd --config "$dir/containerd.toml"
}

images() {
  local archive
  for _ in $(seq 300); do
    inside ctr version >/dev/null 2>&1 && break
    sleep 0.1
  done
  for archive in "$1"/*.tar; do
    inside ctr -n k8s.io images import "$archive"
  done
}

node() {
  : >"$dir/resolv.conf"
  cat >"$dir/kubelet.yaml" <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /kubetest
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
clusterDNS: [$node_ip]
clusterDomain: cluster.local
resolvConf: $dir/resolv.conf
podLogsDir: $dir/pod-logs
failSwapOn: false
oomScoreAdj: 0
nodeStatusUpdateFrequency: 4s
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
C
  start kubelet "$KUBE" kubelet --config "$dir/kubelet.yaml" --kubeconfig "$dir/kubelet.kubeconfig" \
    --root-dir /var/lib/kubelet --cert-dir "$dir/pki" --hostname-override node-1 --node-ip $node_ip
  cat >"$dir/proxy.yaml" <<C
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ${PROXY_MODE:-nftables}
clientConnection: {kubeconfig: $dir/proxy.kubeconfig}
hostnameOverride: node-1
clusterCIDR: $pods
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
C
  start kube-proxy "$KUBE" kube-proxy --config "$dir/proxy.yaml"
  cat >"$dir/Corefile" <<C
.:53 {
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $dir/admin.kubeconfig
    pods insecure
  }
  cache 2
}
C
  start coredns "$KUBE" coredns -conf "$dir/Corefile"
  start device-plugin "$KUBE" device-plugin --count "${GPUS:-2}"
}

up() {
  local archives=${IMAGES:-}
  export KUBE=${KUBE:-$("$here/build.sh" node)}
  archives=${archives:-$("$here/images.sh")}
  mkdir -p "$dir"/{log,pid,cni,containerd,kubelet,pod-logs,sysctl,volumes}
  trap 'down || true' ERR
  namespaces
  network
  cgroups
  runtime
  inside env SERVICES=$services PODS=$pods APISERVER_FLAGS="${APISERVER_FLAGS:-}" "$here/control-plane.sh" "$dir" $node_ip
  images "$archives"
  node
}

case $verb in
  exec) inside "$@" ;;
  *) "$verb" ;;
esac
