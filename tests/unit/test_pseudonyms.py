"""What stands for users: the same for the same, another one for everybody else, and nothing that tells the name."""

import re
import stat
import threading
from pathlib import Path

import pytest
from chatbot.core.privacy.pseudonym import Pseudonyms

OLD, NEW = "o" * 64, "n" * 64


def test_users_of_tenants_are_told_apart_and_their_names_are_not_told() -> None:
    ours, theirs = Pseudonyms([NEW.encode()]), Pseudonyms([OLD.encode()])

    made = [ours.of("a", "user"), ours.of("b", "user"), ours.of("a", "user2"), theirs.of("a", "user"),
            ours.of("au", "ser"), ours.of("a", "사용자")]  # fmt: skip

    assert len(set(made)) == 6 and ours.of("a", "user") == made[0]
    assert all(re.fullmatch(r"u_[a-z2-7]{26}", one) for one in made)


def test_a_change_of_the_secret_loses_no_counter_where_the_one_before_is_still_named(tmp_path: Path) -> None:
    """Rows under a pepper are found again, and go on under it where the file holds it."""
    (tmp_path / "secret").write_text(f"{NEW}\n{OLD}\n")
    (tmp_path / "same").write_text(OLD)
    before = Pseudonyms([OLD.encode()])

    changed = Pseudonyms.load(tmp_path / "secret", [OLD.encode()])
    assert changed.every("a", "u") == (Pseudonyms([NEW.encode()]).of("a", "u"), before.of("a", "u"))
    assert Pseudonyms.load(tmp_path / "same", [NEW.encode()]).of("a", "u") == before.of("a", "u")


@pytest.mark.parametrize("lines", ["", "short", f"{NEW}\nshort", "\n".join([f"{n}{NEW}" for n in range(5)])])
def test_a_secret_that_is_none_is_refused_and_not_repeated(lines: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(lines)

    with pytest.raises(ValueError, match="CHATBOT_PRIVACY_SECRET_FILE") as wrong:
        Pseudonyms.load(tmp_path / "secret")

    assert "short" not in str(wrong.value) and NEW not in str(wrong.value)


def test_what_cannot_be_read_or_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff" * 64)
    (tmp_path / "file").write_text("")

    for path, said in ((tmp_path / "none", "cannot be read"), (tmp_path / "bytes", "not UTF-8")):
        with pytest.raises(ValueError, match=said):
            Pseudonyms.load(path)
    with pytest.raises(ValueError, match="none can be made"):
        Pseudonyms.kept_in(tmp_path / "file" / "secret")


def test_a_secret_is_made_once_for_its_owner_alone_however_many_begin(tmp_path: Path) -> None:
    path, made = tmp_path / "var" / "secret", []
    begin = threading.Barrier(16)

    def start() -> None:
        begin.wait()
        made.append(Pseudonyms.kept_in(path).of("", "u"))

    threads = [threading.Thread(target=start) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 16 and len(set(made)) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["secret"]
    assert Pseudonyms.kept_in(path).of("", "u") == made[0]
