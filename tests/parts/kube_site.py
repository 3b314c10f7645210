"""The product on a real node, installed by the commands of README's section "Install it on a cluster"."""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from parts import kube_load, readme
from parts.helm import neighbour_kinds
from parts.kube_client import Document, wait_for
from parts.kube_node import HOST, Node, running_node, serving_folder
from parts.kube_objects import condition, is_told_ready, story
from parts.kube_scrape import following
from parts.kube_told import told
from parts.prometheus import Prometheus, hastened, running_prometheus

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "services/demo-model/chatbot-demo.gguf"
MODEL = "small"
"""The Model of charts/chatbot/ci/cpu-trial.yaml."""
_FIRST = Path("Qwen/Qwen2.5-0.5B-Instruct-GGUF/resolve/main/qwen2.5-0.5b-instruct-q4_k_m.gguf")
_SOAK_SECONDS = 2
_EVERYTHING = "kubectl get pods,events,models -A | tail -60; kubectl logs -n chatbot deploy/chatbot-office --tail=30"
_NEIGHBOURS = ("gateway.networking.k8s.io", "monitoring.coreos.com")
RULES_FACTOR = 10
"""The alerts' clock: a minute is six seconds. Thresholds stay."""
_SCRAPE_SECONDS = 2.0


@dataclass
class Site:
    """An install.

    Attributes:
        hub: A folder that pods see as a model hub.
        seconds: Of the way from the first command to the first answer and to Ready.
        snapshots: What the Model said on that way.
        prometheus: Follows the ServiceMonitors and looks at the rules, from the end of the install on.
        began_at: When it began to, by `time.time()`.
    """

    node: Node
    hub: Path
    overrides: dict[str, Path]
    seconds: dict[str, float] = field(default_factory=dict)
    snapshots: list[str] = field(default_factory=list)
    prometheus: Prometheus = field(init=False)
    began_at: float = field(init=False)

    @property
    def office(self) -> str:
        """Address of the office service."""
        return self.node.address("chatbot-office")

    @property
    def character(self) -> str:
        """Address of the character service, whose Deployment is the first to get another model."""
        return self.node.address("chatbot-character")

    @property
    def gateway(self) -> str:
        """Address of the gateway that serves the Ingresses."""
        return self.node.address("ingress-nginx-controller", "ingress-nginx")

    @property
    def ways(self) -> tuple[str, str]:
        """Both addresses of the office service: the one behind the gateway, and its own."""
        return f"{self.gateway}/office", self.office

    def model(self) -> Document:
        return self.node.kube.get("Model", "chatbot", MODEL)

    def says(self, kind: str) -> str:
        """`True/Reason` of a condition of the Model."""
        found = condition(self.model(), kind)
        return f"{found.get('status')}/{found.get('reason')}"

    def offer(self, file: Path) -> dict[str, str]:
        """Put a file on the hub; what a Model's source then says."""
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        place = self.hub / f"tests/models/resolve/main/{digest[:8]}.gguf"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
        return {"url": f"hf://tests/models/{digest[:8]}.gguf", "sha256": digest}

    def change(self, source: dict[str, Any], **rollout: object) -> str:
        """Another model, by the values of the release that has the Model; its revision."""
        model = self.values()["models"][MODEL]
        self.put(models={MODEL: {**model, "source": source, "rollout": model["rollout"] | rollout}})
        self.upgrade()
        return str(source["sha256"])[:16]

    def rollout(self, **changes: object) -> None:
        """Change how models are rolled out, from the next upgrade on."""
        model = self.values()["models"][MODEL]
        self.put(models={MODEL: {**model, "rollout": model["rollout"] | changes}})

    def values(self) -> Document:
        """What is installed besides the profile."""
        return dict(yaml.safe_load(self.overrides["chatbot"].read_text()))

    def put(self, **values: object) -> None:
        """More values at the top level, from the next upgrade on."""
        self.overrides["chatbot"].write_text(yaml.safe_dump(self.values() | values))

    def take(self, *names: str) -> None:
        """Fewer values, from the next upgrade on."""
        kept = {name: value for name, value in self.values().items() if name not in names}
        self.overrides["chatbot"].write_text(yaml.safe_dump(kept))

    def until_ready(self, revision: str, seconds: float = 180) -> float:
        """Wait until all serve a revision; how long it took."""
        began = time.monotonic()
        wait_for(
            lambda: is_told_ready(self.model(), revision) and self.says("Ready") == "True/Serving",
            seconds,
            lambda: story(self.model()),
        )
        return round(time.monotonic() - began, 1)

    def upgrade(self, **values: object) -> str:
        """`helm upgrade` with the values of the install and, from now on, a few more at the top level."""
        self.put(**values)
        profile, file = "charts/chatbot/ci/cpu-trial.yaml", self.overrides["chatbot"]
        return self.node.say(f"helm upgrade chatbot charts/chatbot -n chatbot -f {profile} -f {file}")

    def until_rolled_out(self, seconds: float = 240) -> None:
        """Wait until every Deployment has what it wants and nothing of before."""
        self.node.say(f"kubectl rollout status deployment -n chatbot --timeout={seconds:.0f}s", seconds + 30)


def install_commands() -> list[str]:
    """What README says, but for building images and looking on."""
    section = readme.text().split("## Install it on a cluster")[1].split("\n## ")[0]
    lines = [line.removeprefix("$ ") for line in section.splitlines() if line.startswith("$ ")]
    return [line for line in lines if line.startswith(("kubectl apply", "helm install"))]


@contextmanager
def installed() -> Iterator[Site]:
    """README's commands on a fresh cluster that has a gateway, until the Model is ready.

    Only what this cluster has is added: where the hub's mirror is, a shorter soak, the Gateway API, and the kinds of
    the Prometheus Operator, whose objects a Prometheus beside the cluster follows from then on.
    """
    with ExitStack() as stack:
        node = stack.enter_context(running_node())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hub = folder / "hub"
        (hub / _FIRST).parent.mkdir(parents=True)
        shutil.copy(DEMO, hub / _FIRST)
        url = stack.enter_context(serving_folder(hub))
        site = Site(node, hub, _overrides(folder, url))
        _neighbours(node)
        for name in ("first", "second"):
            node.volume(name)
        install(site)
        scraped = {"cluster": stack.enter_context(following(node.kube, folder))}
        rules = {
            rule["metadata"]["name"]: hastened(rule["spec"], RULES_FACTOR) for rule in node.kube.find("PrometheusRule")
        }
        site.prometheus = stack.enter_context(running_prometheus(folder, scraped, rules, _SCRAPE_SECONDS))
        site.began_at = time.time()
        yield site


def _neighbours(node: Node) -> None:
    """What a cluster has before this product comes: the neighbours' kinds, and a gateway."""
    files = " ".join(f"-f {file}" for file in neighbour_kinds() if file.name.startswith(_NEIGHBOURS))
    node.say(f"kubectl apply --server-side {files} && kubectl wait --for=condition=Established --timeout=60s {files}")
    node.say("kubectl apply -f tests/cluster/gateway.yaml")
    node.say("kubectl rollout status deployment -n ingress-nginx --timeout=120s")


def _overrides(folder: Path, hub_url: str) -> dict[str, Path]:
    values: dict[str, Document] = {
        "chatbot-operator": {
            "downloads": {"hfEndpoint": hub_url, "allowNetworks": [f"{HOST}/32"]},
            "serviceMonitor": {"enabled": True},
        },
        "chatbot": {
            "models": {MODEL: {"rollout": {"soakSeconds": _SOAK_SECONDS, "progressDeadlineSeconds": 120}}},
            "gateway": {
                "httpRoute": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "ingress-nginx"}]}
            },
            "monitoring": {name: {"enabled": True} for name in ("serviceMonitors", "rules", "dashboards")},
        },
    }
    for chart, document in values.items():
        (folder / f"{chart}.yaml").write_text(yaml.safe_dump(document))
    return {chart: folder / f"{chart}.yaml" for chart in values}


def install(site: Site) -> None:
    """README's commands, until the gateway leads to an answer and the Model is ready."""
    began = time.monotonic()
    with told(site.node.kube, "chatbot", MODEL) as lines:
        for command in install_commands():
            chart = command.split()[2] if command.startswith("helm install") else ""
            site.node.say(command + (f" -f {site.overrides[chart]}" if chart else ""))
        wait_for(lambda: _answer(site) == "ok", 240, lambda: f"{_answer(site)}\n{site.node.say(_EVERYTHING)}")
        site.seconds["first_answer"] = round(time.monotonic() - began, 1)
        wait_for(lambda: site.says("Ready") == "True/Serving", 240, lambda: story(site.model()))
        site.seconds["ready"] = round(time.monotonic() - began, 1)
    site.snapshots = lines


def _answer(site: Site) -> str:
    try:
        return kube_load.ask(site.ways[0], "first")
    except OSError as exc:
        return repr(exc)
