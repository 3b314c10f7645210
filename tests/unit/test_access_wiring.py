"""What is switched on without what it needs stops the start, and the message says what to do."""

import sys
from pathlib import Path

import pytest
from chatbot.core.accounts.key_check import KeyCheck
from chatbot.domain.tenants.policy import NO_POLICIES
from chatbot.server.settings.accounts import AuthSettings
from chatbot.server.settings.history import HistorySettings
from chatbot.server.settings.serving import TracesSettings
from chatbot.server.settings.whole import Settings
from chatbot.server.wiring.access.admin import open_admin
from chatbot.server.wiring.access.audit import open_audit
from chatbot.server.wiring.access.traces import open_traces
from pydantic import ValidationError


def test_administration_without_a_pepper_names_the_setting(tmp_path: Path) -> None:
    beside = HistorySettings(sqlite_path=tmp_path / "history.sqlite3")
    off = Settings(history=beside)
    on = Settings(auth=AuthSettings(admin_api=True), history=beside)
    audit = open_audit(off)

    assert open_admin(off, KeyCheck(), NO_POLICIES, audit) is None
    with pytest.raises(ValueError, match="CHATBOT_AUTH_ADMIN_API: needs CHATBOT_AUTH_PEPPER_FILE"):
        open_admin(on, KeyCheck(), NO_POLICIES, audit)


def test_traces_without_their_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chatbot.server.observe.tracing.otlp", None)

    with pytest.raises(ValueError, match=r"CHATBOT_TRACES_URL: .*chatbot-platform\[traces\]"):
        open_traces(Settings(traces=TracesSettings(url="http://127.0.0.1:9/v1/traces")), ["office"])


@pytest.mark.parametrize("url", ["collector:4318", "ftp://collector", "http://user:CANARY@collector/v1/traces"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        TracesSettings(url=url)


@pytest.mark.parametrize("lines", [["staff"], ["=chat"], ["staff="], ["staff=root"], ["staff=chat admin"]])
def test_words_that_stand_for_no_scopes_are_refused(lines: list[str]) -> None:
    with pytest.raises(ValidationError):
        AuthSettings(jwt_scope_map=lines)


@pytest.mark.parametrize(
    "wrong",
    [
        {"gateway_peers": ["0.0.0.0/0"]},
        {"gateway_peers": ["10.0.0.0/8", "::/0"]},
        {"gateway_peers": ["10.0.0.1/8"]},
        {"gateway_user_header": "Authorization"},
        {"gateway_user_header": "x-user-id"},
        {"gateway_user_header": "X User"},
        {"gateway_scopes": ["admin"]},
        {"gateway_tenant": ""},
    ],
)
def test_a_gateway_that_would_let_anybody_be_anybody_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AuthSettings.model_validate(wrong)


def test_a_gateway_is_believed_by_its_networks_and_only_where_some_are_named() -> None:
    assert AuthSettings().gateway_trust is None
    trust = AuthSettings.model_validate({"gateway_peers": ["10.0.0.0/8", "fd00::/8"]}).gateway_trust
    assert trust is not None

    assert [trust.believes(peer) for peer in ("10.9.9.9", "::ffff:10.9.9.9", "fd00::1")] == [True] * 3
    assert [trust.believes(peer) for peer in ("11.0.0.1", "::ffff:11.0.0.1", "fe80::1", "", "unix:", "10.9")] == [
        False
    ] * 6
