"""Strict reading of the environment: what is wrong or unknown stops the start and is named, without its value."""

import json
import os
from collections.abc import Iterator

import pytest
from chatbot.api.profiles import OFFICE
from chatbot.server.environment import WrongEnvironment, load_settings, names, shown
from chatbot.server.run import WRONG_SETTINGS, main


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("CHATBOT_")]:
        monkeypatch.delenv(name)
    yield


def problems(monkeypatch: pytest.MonkeyPatch, **environ: str) -> list[str]:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(WrongEnvironment) as wrong:
        load_settings()
    return wrong.value.problems


def test_reads_values_into_their_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATBOT_QUEUE_TIMEOUT_SECONDS", "60")
    monkeypatch.setenv("CHATBOT_HTTP_TRUSTED_PROXIES", '["10.0.0.0/8"]')

    settings = load_settings()

    assert settings.queue.timeout_seconds == 60.0
    assert str(settings.http.trusted_proxies[0]) == "10.0.0.0/8"


def test_an_unknown_name_is_told_with_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    told = problems(monkeypatch, CHATBOT_QUEUE_TIMEOUT_SECOND="canary", CHATBOT_NONSENSE="canary")

    assert told == [
        "CHATBOT_NONSENSE is not a setting; --show-settings lists them",
        "CHATBOT_QUEUE_TIMEOUT_SECOND is not a setting; did you mean CHATBOT_QUEUE_TIMEOUT_SECONDS?",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHATBOT_QUEUE_TIMEOUT_SECONDS", "canary"),
        ("CHATBOT_QUEUE_TIMEOUT_SECONDS", "-1"),
        ("CHATBOT_HTTP_PORT", "70000"),
        ("CHATBOT_HTTP_ROOT_PATH", "canary"),
        ("CHATBOT_HISTORY_STORE", "canary"),
        ("CHATBOT_HTTP_TRUSTED_PROXIES", "canary"),
        ("CHATBOT_HTTP_TRUSTED_PROXIES", '["canary"]'),
        ("CHATBOT_OPENAI_BASE_URL", "https://user:canary@example"),
        ("CHATBOT_LOG_LEVEL", "canary"),
    ],
)
def test_a_wrong_value_is_named_and_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    told = problems(monkeypatch, **{name: value})

    assert len(told) == 1 and told[0].startswith(f"{name}: ")
    assert "canary" not in told[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHATBOT_OFFICE_PORT", "tcp://10.96.0.7:8002"),
        ("CHATBOT_OFFICE_PORT_8002_TCP", "tcp://10.96.0.7:8002"),
        ("CHATBOT_OFFICE_PORT_8002_TCP_ADDR", "10.96.0.7"),
        ("CHATBOT_OFFICE_PORT_8002_TCP_PORT", "8002"),
        ("CHATBOT_OFFICE_PORT_8002_TCP_PROTO", "tcp"),
        ("CHATBOT_OFFICE_SERVICE_HOST", "10.96.0.7"),
        ("CHATBOT_OFFICE_SERVICE_PORT", "8002"),
        ("CHATBOT_OFFICE_SERVICE_PORT_HTTP", "8002"),
        ("CHATBOT_DNS_PORT", "udp://10.96.0.7:53"),
        ("CHATBOT_TEST_SCALE", "full"),
        ("CHATBOT_OPERATOR_LOG_LEVEL", "info"),
        ("SOMETHING_ELSE", "x"),
    ],
)
def test_what_kubernetes_and_others_set_is_ignored(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    assert load_settings()


@pytest.mark.parametrize(("name", "value"), [("CHATBOT_OFFICE_PORT", "8002x"), ("CHATBOT_HTTP", '{"port": 1}')])
def test_what_only_looks_like_it_is_not(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert problems(monkeypatch, **{name: value})[0].startswith(f"{name} is not a setting")


def test_shows_every_setting_as_it_would_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATBOT_HTTP_CORS_ORIGINS", '["https://a.example"]')

    lines = dict(line.split("=", 1) for line in shown(load_settings()).splitlines())

    assert list(lines) == list(names())
    assert lines["CHATBOT_HTTP_CORS_ORIGINS"] == '["https://a.example"]'
    assert lines["CHATBOT_FALLBACK_ENABLED"] == "false"
    assert lines["CHATBOT_AUTH_KEYS_FILE"] == ""


def test_the_command_shows_settings_and_names_problems(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(OFFICE, ["--show-settings"])
    assert "CHATBOT_QUEUE_MAX_WAITING=512\n" in capsys.readouterr().out

    monkeypatch.setenv("CHATBOT_HTTP_PROT", "1")
    with pytest.raises(SystemExit) as ended:
        main(OFFICE, [])

    assert ended.value.code == WRONG_SETTINGS
    assert "did you mean CHATBOT_HTTP_PORT?" in capsys.readouterr().err


def test_a_wrong_server_is_named_by_its_place_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = [{"name": "wiki", "url": "http://wiki:8080/mcp"}, {"name": "Wrong", "url": "http://x"}, {"name": "c"}]
    monkeypatch.setenv("CHATBOT_TOOLS_MCP", json.dumps(servers))

    with pytest.raises(WrongEnvironment) as wrong:
        load_settings()

    assert len(wrong.value.problems) == 1
    assert "[1].name: " in wrong.value.problems[0] and "[2]: " in wrong.value.problems[0]


def test_servers_are_shown_as_they_would_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATBOT_TOOLS_MCP", json.dumps([{"name": "wiki", "url": "http://wiki/mcp", "tools": ["a"]}]))

    line = next(one for one in shown(load_settings()).splitlines() if one.startswith("CHATBOT_TOOLS_MCP="))

    monkeypatch.setenv("CHATBOT_TOOLS_MCP", line.partition("=")[2])
    assert load_settings().tools.mcp[0].pins() == {"a": ""}
