"""nginx with the directives that ingress-nginx writes from our annotations: its exact limits, timeouts and buffering.

ingress-nginx itself cannot be built here (its balancer is Lua, with modules that no distribution has). So Ingresses and
slices are read from the API server and written as its template writes them:
https://github.com/kubernetes/ingress-nginx/blob/main/rootfs/etc/nginx/template/nginx.tmpl. What it answers where a
Service has no pod (503) is in its Lua, and therefore only translated here, not shown.
"""

import hashlib
import os
import pwd
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from parts.helm import ROOT, Document
from parts.kube_client import Kube
from parts.needs import left_out, need

PREFIX = "nginx.ingress.kubernetes.io/"
HOW = "apt-get install nginx-light libnginx-mod-http-headers-more-filter"
_CLEAR_HEADERS = Path("/usr/lib/nginx/modules/ngx_http_headers_more_filter_module.so")
_VALUES = ROOT / "manifests/values/ingress-nginx.yaml"

# What ingress-nginx takes where an Ingress says nothing (internal/ingress/controller/config/config.go), and how each is
# written. An annotation that is not here fails the translation: it would do nothing, unnoticed.
_DIRECTIVES = {
    "proxy-body-size": ("1m", "client_max_body_size {};"),
    "proxy-connect-timeout": ("5", "proxy_connect_timeout {}s;"),
    "proxy-read-timeout": ("60", "proxy_read_timeout {}s;"),
    "proxy-send-timeout": ("60", "proxy_send_timeout {}s;"),
    "proxy-buffering": ("off", "proxy_buffering {};"),
    "proxy-request-buffering": ("on", "proxy_request_buffering {};"),
    "proxy-next-upstream": ("error timeout", "proxy_next_upstream {};"),
    "proxy-next-upstream-tries": ("3", "proxy_next_upstream_tries {};"),
}
_OTHERS = ("use-regex", "rewrite-target", "upstream-hash-by", "auth-url", "auth-response-headers")
_SET_HEADERS = {
    "Host": "$http_host",
    "Upgrade": "$http_upgrade",
    "Connection": "$connection_upgrade",
    "X-Request-ID": "$req_id",
    "X-Real-IP": "$remote_addr",
    "X-Forwarded-For": "$remote_addr",
    "X-Forwarded-Host": "$http_host",
    "X-Forwarded-Port": "$server_port",
    "X-Forwarded-Proto": "$scheme",
    "X-Forwarded-Scheme": "$scheme",
    "X-Scheme": "$scheme",
    "X-Original-Forwarded-For": "$http_x_forwarded_for",
    "Proxy": '""',
}
_FRAME = """\
load_module {module};
{user}
daemon off;
worker_processes 1;
worker_shutdown_timeout {shutdown};
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  server_tokens off;
  more_clear_headers Server;
  {hide}
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  scgi_temp_path {folder}/scgi; uwsgi_temp_path {folder}/uwsgi;
  keepalive_timeout 75s;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  map $http_x_request_id $req_id {{ default $http_x_request_id; '' $request_id; }}
{blocks}
}}
"""


@dataclass(frozen=True)
class Rule:
    """One path of an Ingress."""

    host: str
    path: str
    service: str
    annotations: Mapping[str, str]


class Nginx:
    """A running one, and the little controller that tells it what to do."""

    def __init__(self, folder: Path, port: int, kube: Kube, namespace: str) -> None:
        self.port = port
        self._folder = folder
        self._kube = kube
        self._namespace = namespace
        self._write()
        command = [nginx_program(), "-p", str(folder), "-c", str(self._conf), "-e", str(folder / "error.log")]
        tested = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=30)
        assert tested.returncode == 0, tested.stderr
        self._process = subprocess.Popen(command)

    @property
    def _conf(self) -> Path:
        return self._folder / "nginx.conf"

    def follow(self) -> None:
        """Take over what the API server says now."""
        self._write()
        self._process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        """End it and its workers."""
        self._process.terminate()
        self._process.wait(30)

    def _write(self) -> None:
        rules = rules_of(self._kube.find("Ingress", self._namespace), self._namespace)
        pods = pods_of(self._kube.find("EndpointSlice", self._namespace))
        config = yaml.safe_load(_VALUES.read_text())["controller"]["config"]
        self._conf.write_text(configuration(rules, pods, config, (self.port, self._folder)))


def nginx_program() -> str:
    """The program, with the one module that it needs besides; leaves the test out without it."""
    if not _CLEAR_HEADERS.exists():
        left_out(f"nginx lacks more_clear_headers; get it: {HOW}")
    return need("nginx", HOW)


def rules_of(ingresses: Sequence[Document], ingress_class: str) -> list[Rule]:
    """Every path of the Ingresses of a class."""
    return [
        Rule(rule.get("host", "_"), path["path"], path["backend"]["service"]["name"], _ours(ingress))
        for ingress in ingresses
        if ingress["spec"]["ingressClassName"] == ingress_class
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]


def pods_of(slices: Sequence[Document]) -> dict[str, list[str]]:
    """Service -> `address:port` of its ready pods, on the port named http."""
    found: dict[str, list[str]] = {}
    for each in slices:
        service = each["metadata"]["labels"]["kubernetes.io/service-name"]
        ports = [entry["port"] for entry in each.get("ports") or [] if entry["name"] == "http"]
        ready = [one for one in each.get("endpoints") or [] if one.get("conditions", {}).get("ready")]
        found.setdefault(service, []).extend(f"{one['addresses'][0]}:{port}" for one in ready for port in ports)
    return found


def configuration(
    rules: Sequence[Rule], pods: Mapping[str, Sequence[str]], config: Mapping[str, Any], where: tuple[int, Path]
) -> str:
    """The whole nginx.conf.

    Args:
        config: The controller's own options, as `manifests/values/ingress-nginx.yaml` has them.
        where: Port on loopback, and the folder of temporary files.
    """
    port, folder = where
    assert config["use-forwarded-headers"] == "false", "translated for this value only"
    hosts = sorted({rule.host for rule in rules})
    blocks = [
        _upstream(rule, pods) for rule in {rule.service: rule for rule in rules}.values() if pods.get(rule.service)
    ]
    blocks += [_server(host, port, [rule for rule in rules if rule.host == host], pods) for host in hosts]
    return _FRAME.format(
        module=_CLEAR_HEADERS,
        user=f"user {pwd.getpwuid(os.getuid()).pw_name};" if os.getuid() == 0 else "",
        shutdown=config["worker-shutdown-timeout"],
        folder=folder,
        hide=" ".join(f"proxy_hide_header {name};" for name in config["hide-headers"].split(",")),
        blocks="\n".join(blocks),
    )


def _ours(ingress: Document) -> dict[str, str]:
    annotations = ingress["metadata"].get("annotations") or {}
    found = {name.removeprefix(PREFIX): value for name, value in annotations.items() if name.startswith(PREFIX)}
    unknown = set(found) - set(_DIRECTIVES) - set(_OTHERS)
    assert not unknown, f"no translation of {unknown}"
    return found


def _upstream(rule: Rule, pods: Mapping[str, Sequence[str]]) -> str:
    by = rule.annotations.get("upstream-hash-by")
    lines = [f"hash {by} consistent;"] if by else []
    lines += [f"server {pod} max_fails=0;" for pod in pods[rule.service]]
    return f"  upstream {rule.service} {{ {' '.join(lines)} keepalive 320; keepalive_timeout 60s; }}"


def _server(host: str, port: int, rules: Sequence[Rule], pods: Mapping[str, Sequence[str]]) -> str:
    # one Ingress with a regular expression makes every path of its host one, longest first
    has_regex = any(rule.annotations.get("use-regex") == "true" for rule in rules)
    assert has_regex, "translated for hosts with regular expressions only"
    ordered = sorted(rules, key=lambda rule: len(rule.path), reverse=True)
    default = " default_server" if host == "_" else ""
    locations = "\n".join(_location(rule, pods) for rule in ordered)
    return f"  server {{\n    listen 127.0.0.1:{port}{default}; server_name {host};\n{locations}\n  }}"


def _location(rule: Rule, pods: Mapping[str, Sequence[str]]) -> str:
    if not pods.get(rule.service):
        return f'    location ~* "^{rule.path}" {{ return 503; }}'
    lines = [text.format(rule.annotations.get(name, default)) for name, (default, text) in _DIRECTIVES.items()]
    lines += [f"proxy_set_header {name} {value};" for name, value in _SET_HEADERS.items()]
    lines += ["proxy_buffer_size 4k; proxy_buffers 4 4k; proxy_http_version 1.1; proxy_redirect off;"]
    if "auth-url" in rule.annotations:
        lines += _asked(rule)
    if "rewrite-target" in rule.annotations:
        lines += [f'rewrite "(?i){rule.path}" {rule.annotations["rewrite-target"]} break;']
    lines += [f"proxy_pass http://{rule.service};"]
    inside = "\n".join(f"      {line}" for line in lines)
    if "auth-url" in rule.annotations:
        inside += f"\n    }}\n    location = {_auth_path(rule)} {{\n      internal; proxy_pass_request_body off;"
        inside += f'\n      proxy_set_header Content-Length ""; proxy_pass {rule.annotations["auth-url"]};'
    return f'    location ~* "^{rule.path}" {{\n{inside}\n    }}'


def _auth_path(rule: Rule) -> str:
    return f"/_external-auth-{hashlib.sha256(rule.path.encode()).hexdigest()[:12]}"


def _asked(rule: Rule) -> list[str]:
    """Ask an address who a caller is (buildAuthResponseHeaders in ingress-nginx's template.go): the headers that its
    answer lacks are set, too, to nothing; nginx leaves those out.
    """
    lines = [f"auth_request {_auth_path(rule)};"]
    for number, name in enumerate(rule.annotations["auth-response-headers"].split(",")):
        variable = name.strip().lower().replace("-", "_")
        lines += [f"auth_request_set $authHeader{number} $upstream_http_{variable};"]
        lines += [f"proxy_set_header '{name.strip()}' $authHeader{number};"]
    return lines


@contextmanager
def running_nginx(folder: Path, port: int, kube: Kube, namespace: str) -> Iterator[Nginx]:
    """Start one for the Ingresses of a namespace."""
    folder.mkdir()
    nginx = Nginx(folder, port, kube, namespace)
    try:
        yield nginx
    finally:
        nginx.close()
