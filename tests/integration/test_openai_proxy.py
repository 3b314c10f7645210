"""The second backend behind a proxy and a private certificate authority: the standard environment is honoured."""

import logging
import ssl
from pathlib import Path

import pytest
from chatbot.domain.errors import BackendUnavailable
from chatbot.llm.openai import OpenAIGenerator, OpenAIOptions
from chatbot.llm.openai.connection import trusted_authorities
from chatbot.server.observe.telemetry import Meters
from chatbot.server.settings.remote import OpenAISettings
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.remote import open_remote
from parts import openai_stub as stub_server
from parts.forward_proxy import forward_proxy, private_authority
from parts.openai_dialogue import CANARY, KEY, answer
from parts.openai_stub import openai_stub

HOST = "api.backend.test"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    return path


async def test_https_goes_through_the_proxy_as_a_tunnel(
    tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, context = private_authority(tmp_path, HOST)
    async with openai_stub(context) as stub, forward_proxy(stub.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        options = OpenAIOptions(f"https://{HOST}/v1", "stub", key_file, timeout_seconds=30, ca_file=authority)
        generator = OpenAIGenerator(options)
        text, _ = await answer(generator)
        await generator.close()

    assert text == stub_server.TEXT
    assert proxy.asked == [f"CONNECT {HOST}:443 HTTP/1.1"]
    assert stub.calls[0].headers["authorization"] == f"Bearer {KEY}"
    assert len(proxy.carried) > 500
    assert KEY.encode() not in proxy.carried and CANARY.encode() not in proxy.carried


@pytest.mark.parametrize("lower", [False, True])
async def test_plain_http_and_its_exceptions(key_file: Path, monkeypatch: pytest.MonkeyPatch, lower: bool) -> None:
    async with openai_stub() as stub, forward_proxy(stub.port) as proxy:
        names = {"HTTP_PROXY": proxy.url, "NO_PROXY": "127.0.0.0/8,.svc"}
        for name, value in names.items():
            monkeypatch.setenv(name.lower() if lower else name, value)
        for base_url in (f"http://{HOST}/v1", stub.base_url):
            generator = OpenAIGenerator(OpenAIOptions(base_url, "stub", key_file, timeout_seconds=30))
            assert (await answer(generator))[0] == stub_server.TEXT
            await generator.close()

    assert proxy.asked == [f"POST http://{HOST}/v1/chat/completions HTTP/1.1"]
    assert len(stub.calls) == 2


@pytest.mark.parametrize("refusal", [b"407 Proxy Authentication Required", b"403 Forbidden", b"502 Bad Gateway"])
async def test_a_proxy_that_refuses_is_named(
    key_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, refusal: bytes
) -> None:
    caplog.set_level(logging.DEBUG)
    async with forward_proxy(0, refusal) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("http://", "http://somebody:secret4711@"))
        generator = OpenAIGenerator(OpenAIOptions(f"https://{HOST}/v1", "stub", key_file, timeout_seconds=30))
        with pytest.raises(BackendUnavailable, match="the proxy") as raised:
            await answer(generator)
        await generator.close()

    assert len(proxy.asked) == 2, "tried once more"
    assert "secret4711" not in caplog.text + str(raised.value)


async def test_an_endless_answer_is_bounded_behind_a_proxy_too(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with openai_stub() as stub, forward_proxy(stub.port) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        stub.then(stub_server.endless)
        generator = OpenAIGenerator(OpenAIOptions(f"http://{HOST}/v1", "stub", key_file, timeout_seconds=60))
        with pytest.raises(BackendUnavailable, match="beyond every bound"):
            await answer(generator)
        await generator.close()

    assert len(proxy.asked) == 1


async def test_a_certificate_that_nobody_here_trusts_is_named(
    tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, context = private_authority(tmp_path, HOST)
    async with openai_stub(context) as stub, forward_proxy(stub.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        generator = OpenAIGenerator(OpenAIOptions(f"https://{HOST}/v1", "stub", key_file, timeout_seconds=30))
        with pytest.raises(BackendUnavailable, match="SSL_CERT_FILE"):
            await answer(generator)
        await generator.close()

    assert stub.calls == []


def test_authorities_of_the_file_are_added_to_those_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, _ = private_authority(tmp_path, HOST)
    machines = trusted_authorities(None).cert_store_stats()["x509_ca"]
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))

    assert trusted_authorities(authority).cert_store_stats()["x509_ca"] == machines + 1
    assert trusted_authorities(authority).verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "socks5://canary:1"),
        ("HTTP_PROXY", "gopher://canary"),
        ("ALL_PROXY", "http://[canary"),
        ("HTTPS_PROXY", "/canary"),
        ("HTTPS_PROXY", "canary:port"),
        ("SSL_CERT_FILE", "/no/such/file"),
        ("SSL_CERT_FILE", __file__),
    ],
)
def test_what_cannot_be_used_stops_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    settings = Settings(openai=OpenAISettings(model="stub"))

    with pytest.raises(ValueError, match=name) as raised:
        open_remote(settings, Meters(["office"]))

    assert "canary" not in str(raised.value)
