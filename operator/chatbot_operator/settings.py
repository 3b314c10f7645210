"""Environment -> typed settings. Read once, at the start; inner layers get small frozen objects.

Names are `CHATBOT_OPERATOR_` + section + field: `CHATBOT_OPERATOR_WORK_TICK_SECONDS` is `settings.work.tick_seconds`.
"""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
Host = Annotated[str, StringConstraints(pattern=r"^\.?[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]


class Section(BaseModel):
    """A group of settings; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WatchSettings(Section):
    """Which Models are looked after."""

    namespaces: list[Name] = []
    """Namespaces, as a JSON list; empty is the operator's own. Each needs a Role."""

    cluster_wide: bool = False
    """Look after every namespace; needs a ClusterRole."""


class ApiSettings(Section):
    """The API server."""

    kubeconfig: Path | None = None
    """A kubeconfig. None: the ServiceAccount of the pod."""

    timeout_seconds: float = Field(15.0, gt=0, le=300)
    """Longest wait for one answer, seconds. Watches have their own limits."""


class PodsSettings(Section):
    """Pods of consumers, which are asked what they serve."""

    model_url: str = Field("http://{ip}:9090/model", pattern=r"^https?://[^@\s]+$")
    """Where a pod answers; `{ip}`, `{namespace}` and `{name}` are filled in."""

    embedding_url: str = Field("http://{ip}:9090/embedding", pattern=r"^https?://[^@\s]+$")
    """Where a pod says what it makes vectors with, filled in likewise."""

    policy_url: str = Field("http://{ip}:9090/policy", pattern=r"^https?://[^@\s]+$")
    """Where a pod says which policies of tenants it serves, filled in likewise."""

    characters_url: str = Field("http://{ip}:9090/characters", pattern=r"^https?://[^@\s]+$")
    """Where a pod says which Characters it serves, filled in likewise."""

    timeout_seconds: float = Field(3.0, gt=0, le=30)
    """Longest wait for one pod, seconds."""


class DownloadSettings(Section):
    """What is the same for every download Job."""

    image: str = Field("chatbot-operator:0.1.0", pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,510}$")
    """Image of the Jobs: the operator's own."""

    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """Pull policy of that image."""

    image_pull_secrets: list[Name] = []
    """Names of Secrets with credentials for the registry, as a JSON list."""

    hf_endpoint: str = Field("", pattern=r"^(https?://[^@\s]+)?$")
    """Mirror of the Hugging Face hub. Empty: the hub itself."""

    https_proxy: str = Field("", pattern=r"^(http://[^@\s/]+/?)?$")
    """Proxy that downloads go through, `http://host:port`. Empty: none."""

    ca_bundle_config_map: str = ""
    """ConfigMap of the Model's namespace with certificate authorities in the key `ca.crt`. Empty: the usual ones."""

    allow_networks: list[IPv4Network | IPv6Network] = []
    """Networks that may be reached although they are private, as a JSON list."""

    allow_hosts: list[Host] = []
    """The only hosts that may be asked, as a JSON list; `.example.org` is all below it. Empty: every public one."""

    priority_class_name: str = ""
    """Priority class of the Jobs. Empty: the cluster's default."""

    resources: dict[str, Any] = {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"memory": "512Mi"},
    }
    """Requests and limits of the Jobs' container, as a JSON object."""


class WorkSettings(Section):
    """How the work is done."""

    tick_seconds: float = Field(30.0, ge=1, le=60)
    """How often every Model is looked at although nothing was told, seconds. Liveness allows 180 s."""

    most_at_once: int = Field(1000, ge=1, le=10_000)
    """Models worked on at once. What is due together is read together, so many cost hardly more than one."""


class MetricsSettings(Section):
    """The port for metrics and liveness."""

    host: str = "0.0.0.0"  # noqa: S104 - scraped from other pods
    """Address to listen on."""

    port: int = Field(9090, ge=1, le=65535)
    """Port to listen on."""


class LogSettings(Section):
    """Logs: one JSON object per line on standard output."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is written."""


class Settings(BaseSettings):
    """All settings of the operator."""

    model_config = SettingsConfigDict(
        env_prefix="CHATBOT_OPERATOR_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        extra="forbid",
        frozen=True,
    )

    watch: WatchSettings = WatchSettings()
    api: ApiSettings = ApiSettings()
    pods: PodsSettings = PodsSettings()
    download: DownloadSettings = DownloadSettings()
    work: WorkSettings = WorkSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> "Settings":
        if self.watch.cluster_wide and self.watch.namespaces:
            raise ValueError("WATCH_CLUSTER_WIDE and WATCH_NAMESPACES exclude each other; set one of them")
        return self
