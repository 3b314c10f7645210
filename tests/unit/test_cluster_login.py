"""The watcher logs in as the client does, whichever way that is."""

from pathlib import Path

import certifi
import pytest
import yaml
from chatbot_operator.cluster.api import Api
from kubernetes.aio.config import incluster_config


async def test_the_token_of_a_service_account_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc.def")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", certifi.where())

    api = await Api.connect(None, 5)
    connection = await api.connection()
    await api.close()

    assert connection["server"] == "https://10.96.0.1:443"
    assert (connection["scheme"], connection["token"]) == ("Bearer", "abc.def")
    assert connection["ca_path"] == certifi.where()


@pytest.mark.parametrize("token", ["abc.def", None])
async def test_the_token_of_a_kubeconfig_is_passed_on(tmp_path: Path, token: str | None) -> None:
    user = {"token": token} if token else {}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(document))

    api = await Api.connect(file, 5)
    connection = await api.connection()
    await api.close()

    assert (connection["server"], connection["token"]) == ("http://127.0.0.1:1", token)
