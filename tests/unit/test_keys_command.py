"""`chatbot-keys` as it is typed: what it makes, what it refuses, and where a key may appear."""

import json
import time
from datetime import datetime
from pathlib import Path

import pytest
from chatbot.core.accounts.key_text import mint, parse
from chatbot.core.accounts.mounted import MountedKeys
from chatbot.domain.access import Scope
from chatbot.keys import main
from parts.signer import Signer


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pepper").write_text("0123456789abcdef" * 2)
    monkeypatch.setenv("CHATBOT_AUTH_PEPPER_FILE", str(tmp_path / "pepper"))
    monkeypatch.setenv("CHATBOT_AUTH_SQLITE_PATH", str(tmp_path / "keys.sqlite3"))
    monkeypatch.setenv("CHATBOT_HISTORY_SQLITE_PATH", str(tmp_path / "history.sqlite3"))  # the audit is beside it
    return tmp_path


def typed(capsys: pytest.CaptureFixture[str], words: str) -> tuple[str, str]:
    """What it writes to standard output and to standard error."""
    main(words.split())
    told = capsys.readouterr()
    return told.out, told.err


def listed(capsys: pytest.CaptureFixture[str], words: str = "") -> list[dict[str, object]]:
    return [json.loads(line) for line in typed(capsys, f"list --json {words}")[0].splitlines()]


def test_a_key_is_shown_once_and_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = typed(capsys, "create --tenant team-a --label app --scopes chat --services office --user me")
    key = parse(out.strip())
    assert key is not None and key.text not in err and key.id in err

    (row,) = listed(capsys)

    assert (row["id"], row["tenant"], row["label"], row["state"]) == (key.id, "team-a", "app", "valid")
    assert (row["scopes"], row["services"], row["user"], row["backends"]) == (["chat"], ["office"], "me", [])
    assert key.text not in json.dumps(row) + typed(capsys, "list")[0]
    ends = datetime.fromisoformat(str(row["expires_at"])).timestamp()
    assert 89.9 < (ends - time.time()) / 86400 < 90.1


def test_keys_go_through_their_states(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ("--lifetime 0s", "--not-before 2100-01-01", "", ""):
        typed(capsys, f"create --tenant a {words}")
    expired, later, rotated, revoked = [str(row["id"]) for row in listed(capsys)]
    typed(capsys, f"rotate {rotated} --overlap 1h")
    typed(capsys, f"revoke {revoked}")
    typed(capsys, f"revoke {revoked}")

    states = {row["id"]: row["state"] for row in listed(capsys)}

    assert [states[key_id] for key_id in (expired, later, rotated, revoked)] == [
        "expired",
        "not yet",
        "rotated",
        "revoked",
    ]
    assert len(states) == 5 and listed(capsys, "--tenant b") == []


def test_limits_are_given_changed_and_lifted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "create --tenant a --requests-per-minute 60 --burst 5 --tokens-per-day 1000")
    (row,) = listed(capsys)
    assert row["limits"] == {"requests_per_minute": 60, "burst": 5, "tokens_per_day": 1000}

    _, said = typed(capsys, f"limit {row['id']} --tokens-per-month 7 --tokens-per-minute 3")
    assert "tokens-minute 3, tokens-month 7" in said
    assert listed(capsys)[0]["limits"] == {"tokens_per_minute": 3, "tokens_per_month": 7}
    assert "no limits" in typed(capsys, f"limit {row['id']}")[1]
    assert listed(capsys)[0]["limits"] == {}


def test_money_is_given_in_dollars_and_kept_in_millionths(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "create --tenant a --usd-per-day 2.50 --concurrent 4")
    (row,) = listed(capsys)

    assert row["limits"] == {"micro_usd_per_day": 2_500_000, "concurrent": 4}
    assert "usd-day 2.5" in typed(capsys, f"limit {row['id']} --usd-per-day 2.5")[1]


def test_a_rotation_takes_limits_and_what_was_used_along(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed(capsys, "create --tenant a --tokens-per-day 1000")
    first = str(listed(capsys)[0]["id"])
    typed(capsys, f"rotate {first}")
    second = next(str(row["id"]) for row in listed(capsys) if row["id"] != first)
    typed(capsys, f"limit {second} --tokens-per-day 5")
    typed(capsys, f"rotate {second}")

    limits = {str(row["id"]): row["limits"] for row in listed(capsys)}

    (third,) = limits.keys() - {first, second}
    assert limits == {
        first: {"tokens_per_day": 1000},
        second: {"tokens_per_day": 5, "account": first},
        third: {"tokens_per_day": 5, "account": first},
    }


def test_a_line_for_the_keys_file_has_its_limits(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, line = typed(capsys, "create --tenant a --line --tokens-per-day 1000")[0].split("\n")[:2]
    (place / "keys").write_text(line)

    record = MountedKeys(place / "keys").find(key, parse(key))

    assert record is not None and record.rights.limits.tokens_per_day == 1000


@pytest.mark.parametrize(
    "words",
    [
        "",
        "create",
        "create --tenant a --tokens-per-day 0",
        "create --tenant a --tokens-per-day -5",
        "create --tenant a --tokens-per-day 1e6",
        "create --tenant a --tokens-per-day nan",
        "create --tenant a --tokens-per-day 9999999999999",
        "create --tenant a --burst 5",
        "create --tenant a --usd-per-day 0",
        "create --tenant a --usd-per-day -1",
        "create --tenant a --usd-per-day 1e3",
        "create --tenant a --usd-per-day 0.0000001",
        "create --tenant a --usd-per-day NaN",
        "limit",
        "limit cbk_x --tokens-per-day 5",
        "create --tenant a/b",
        "create --tenant " + "a" * 65,
        "create --tenant a --scopes all",
        "create --tenant a --scopes ,",
        "create --tenant a --networks 10.0.0.1/8",
        "create --tenant a --lifetime 5y",
        "create --tenant a --lifetime -1d",
        "create --tenant a --lifetime 366d",
        "create --tenant a --not-before soon",
        "create --tenant a --user " + "u" * 129,
        "create --tenant a --signer /nowhere/user.pub",
        "create --tenant a --signer /dev/null",
        "revoke short",
        "rotate '; --",
    ],
)
def test_wrong_words_change_nothing(place: Path, capsys: pytest.CaptureFixture[str], words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())

    assert ended.value.code == 2 and capsys.readouterr().out == ""
    assert listed(capsys) == []


def test_a_key_for_browsers_has_the_public_key_of_who_names_its_users(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signer = Signer("ES256")
    public, secret = place / "user.pub", place / "user.key"
    public.write_text(signer.public + "\n")
    secret.write_text(signer.secret)

    key, _ = typed(capsys, f"create --tenant a --signer {public}")
    (row,) = listed(capsys)
    for words in (["--signer", str(secret)], ["--signer", str(public), "--user", "u"]):
        with pytest.raises(SystemExit) as ended:
            main(["create", "--tenant", "a", *words])
        told = capsys.readouterr()
        assert ended.value.code == 2 and told.out == "" and "MIG" not in told.err

    assert key.startswith("cbk_") and (row["signer"], row["user_from"]) == (signer.public, "token")
    assert len(listed(capsys)) == 1


def test_a_whole_key_is_no_id_and_is_not_repeated(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = mint()
    with pytest.raises(SystemExit):
        main(["revoke", key.text])

    told = capsys.readouterr()
    assert key.text not in told.out + told.err and "12 characters" in told.err


@pytest.mark.parametrize("words", ["revoke AAAAAAAAAAAA", "rotate AAAAAAAAAAAA"])
def test_an_id_that_nobody_has_is_told(place: Path, capsys: pytest.CaptureFixture[str], words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())

    assert ended.value.code == 1 and "no such key" in capsys.readouterr().err


def test_a_store_that_cannot_be_used_is_told_with_its_setting(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "keys.sqlite3").write_bytes(b"no database at all" * 100)
    with pytest.raises(SystemExit) as ended:
        main(["list"])

    assert ended.value.code == 1 and "CHATBOT_AUTH_SQLITE_PATH" in capsys.readouterr().err


def test_without_a_pepper_it_says_what_to_do(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHATBOT_AUTH_PEPPER_FILE")
    with pytest.raises(SystemExit) as ended:
        main(["create", "--tenant", "a"])

    told = capsys.readouterr()
    assert ended.value.code == 2 and "CHATBOT_AUTH_PEPPER_FILE" in told.err and told.out == ""


def test_a_line_for_the_mounted_file_needs_no_store(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHATBOT_AUTH_PEPPER_FILE")
    out, _ = typed(capsys, "create --tenant team-a --networks 10.0.0.0/8,fd00::/8 --scopes chat --line")
    text, line = out.splitlines()
    (place / "keys").write_text(line)

    record = MountedKeys(place / "keys").find(text, parse(text))

    assert record is not None and (record.tenant, record.rights.scopes) == ("team-a", {Scope.CHAT})
    assert record.rights.allows_address("10.1.1.1") and not record.rights.allows_address("11.1.1.1")
    assert text not in line and not (place / "keys.sqlite3").exists()


def test_a_pseudonym_can_be_computed_for_the_logs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [typed(capsys, f"pseudonym --tenant {tenant} 사용자")[0].strip() for tenant in ("a", "a", "b")]

    assert names[0] == names[1] != names[2] and all(name.startswith("u_") for name in names)


def test_a_key_lives_no_longer_than_its_tenant_allows(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "tenants.yaml").write_text("tenants: [{name: a, keys: {maxLifetime: 30d}}]")
    monkeypatch.setenv("CHATBOT_TENANTS_FILE", str(place / "tenants.yaml"))
    for tenant in ("a", "b"):
        typed(capsys, f"create --tenant {tenant}")
    typed(capsys, f"rotate {listed(capsys, '--tenant a')[0]['id']}")
    with pytest.raises(SystemExit) as told:
        main(["create", "--tenant", "a", "--lifetime", "31d"])

    ends = [
        datetime.fromisoformat(str(row["expires_at"])).timestamp()
        for tenant in ("a", "b")
        for row in listed(capsys, f"--tenant {tenant}")
    ]
    assert told.value.code == 2
    assert sorted(round((end - time.time()) / 86400) for end in ends) == [1, 30, 90]  # rotated, its sibling, b's
