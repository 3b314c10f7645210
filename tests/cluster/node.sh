#!/usr/bin/env bash
# node.sh up DIR | exec DIR COMMAND... | down DIR
# A whole cluster with one real node, in network, mount and process namespaces
# of its own. The host gets one veth end (10.200.0.1) and routes to the pods and
# Services; nothing else of the host changes, but for cgroups under /kubetest,
# which down removes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export KUBE=${KUBE:-$("$here/build.sh" node)}
images=${IMAGES:-$here/images}   # a folder of image archives (images.sh)
proxy_mode=${PROXY_MODE:-nftables}
node_ip=10.200.0.2 host_ip=10.200.0.1 pods=10.244.0.0/16 services=10.96.0.0/16
verb=$1; dir=$(mkdir -p "$2" && cd "$2" && pwd); shift 2
inside() { target=$(cat "$dir/pid/holder"); nsenter --target "$target" --net --mount --pid -- "$@"; }
case $verb in
exec) inside "$@"; exit ;;
down)
  [ -e "$dir/pid/holder" ] && kill -9 "$(cat "$dir/pid/holder")" 2>/dev/null || true   # init of the pid namespace: all in it die
  rm -f "$dir"/pid/*
  sleep 1
  for c in /sys/fs/cgroup/*/kubetest; do [ -d "$c" ] && find "$c" -depth -type d -exec rmdir {} + ; done || true
  exit ;;
up) ;;
*) echo "usage: node.sh up|exec|down DIR" >&2; exit 2 ;;
esac

mkdir -p "$dir"/{log,pid,cni,containerd,kubelet,pod-logs,volumes}
# 1. the namespaces; their first process only waits, and all else dies with it
unshare --net --mount --pid --fork --mount-proc --kill-child=SIGKILL sleep infinity </dev/null >/dev/null 2>&1 &
outer=$!
until holder=$(pgrep -P $outer sleep); do sleep 0.05; kill -0 $outer; done
echo "$holder" >"$dir/pid/holder"
inside mount --make-rprivate /
inside mount -t tmpfs tmpfs /run
inside mkdir -p /run/netns /run/lock /var/lib/kubelet /var/lib/cni
inside mount -t tmpfs tmpfs /var/lib/cni
inside mount --rbind "$dir/kubelet" /var/lib/kubelet
# the kubelet sets these on start, and they are the machine's: let it write to files of ours
mkdir -p "$dir/sysctl"
for s in vm/overcommit_memory kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  cat /proc/sys/$s >"$dir/sysctl/${s//\//.}"
  inside mount --bind "$dir/sysctl/${s//\//.}" /proc/sys/$s
done
# 2. the network
ip link add ktest0 type veth peer name eth0 netns "$holder"
ip addr add $host_ip/30 dev ktest0
ip link set ktest0 up
inside ip link set lo up
inside ip addr add $node_ip/30 dev eth0
inside ip link set eth0 up
inside ip route add default via $host_ip      # goes nowhere: the host does not forward
inside sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
ip route add $pods via $node_ip
ip route add $services via $node_ip
# 3. cgroups of our own
for c in /sys/fs/cgroup/*/; do
  case $c in */unified/|*/systemd/) continue ;; esac
  mkdir -p "$c/kubetest"
  [ -e "$c/cpuset.cpus" ] && for f in cpuset.cpus cpuset.mems; do cat "$c/$f" >"$c/kubetest/$f"; done
done
mkdir -p /sys/fs/cgroup/systemd/kubetest
# 4. containerd
cat >"$dir/cni/10-bridge.conflist" <<C
{"cniVersion": "1.0.0", "name": "bridge", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
C
cat >"$dir/containerd.toml" <<C
version = 2
root = "$dir/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
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
start() { name=$1; shift; inside "$@" </dev/null >"$dir/log/$name.log" 2>&1 & }
start containerd containerd --config "$dir/containerd.toml"
# 5. the control plane, at the node's address
inside env SERVICES=$services PODS=$pods APISERVER_FLAGS="${APISERVER_FLAGS:-}" "$here/control-plane.sh" "$dir" $node_ip
for i in $(seq 100); do inside ctr version >/dev/null 2>&1 && break; sleep 0.1; done
for image in "$images"/*.tar; do inside ctr -n k8s.io images import "$image"; done
# 6. the node
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
mode: $proxy_mode
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
