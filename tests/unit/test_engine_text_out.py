"""Bytes to text: the same text whatever the tokens' borders, no half characters, no byte of a stop string."""

import pytest
from chatbot.llm.engine.text.text_out import TextOut
from hypothesis import given
from hypothesis import strategies as st

WRITINGS = ["안녕 😀👩\u200d👩\u200d👧 漢字", "e\u0301가각"]
TEXTS = st.text(alphabet=st.characters(codec="utf-8"), max_size=40) | st.sampled_from(WRITINGS)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    borders = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in zip(borders, borders[1:], strict=False)]


def written(pieces: list[bytes], stop: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    out = TextOut(stop)
    texts = []
    for piece in pieces:
        texts.append(out.push(piece))
        if out.stopped:
            return texts, True
    return [*texts, out.flush()], False


@given(TEXTS, st.lists(st.integers(0, 500), max_size=30))
def test_any_cut_gives_the_same_text(text: str, places: list[int]) -> None:
    texts, _ = written(cut(text.encode(), places))

    assert "".join(texts) == text
    assert all("\ufffd" not in part for part in texts) or "\ufffd" in text


@given(st.text(alphabet="ab가", max_size=20), st.lists(st.text(alphabet="ab가", min_size=1, max_size=4), max_size=4))
def test_a_stop_string_is_found_over_any_border(text: str, stops: list[str]) -> None:
    found = [text.encode().find(stop.encode()) for stop in stops]
    first = min((place for place in found if place >= 0), default=None)

    for pieces in ([text.encode()], [bytes([byte]) for byte in text.encode()]):
        texts, stopped = written(pieces, tuple(stops))
        whole = "".join(texts)
        assert stopped == (first is not None)
        assert whole == text if first is None else whole in text and not any(stop in whole for stop in stops)


def test_nothing_of_a_stop_string_is_sent_before_it_is_whole() -> None:
    out = TextOut(("<end>",))

    assert [out.push(piece) for piece in (b"a<", b"en", b"x<e", b"nd>b")] == ["a", "", "<enx", ""]
    assert out.stopped


def test_what_only_began_like_a_stop_string_comes_at_the_end() -> None:
    out = TextOut(("<end>",))

    assert out.push(b"a<en") == "a"
    assert out.flush() == "<en"


def test_a_character_that_was_cut_at_the_end_is_left_out() -> None:
    out = TextOut()

    assert out.push("가나".encode()[:5]) == "가"
    assert out.flush() == ""


def test_bytes_that_are_no_character_become_a_replacement() -> None:
    assert "".join(written([b"a\xff", b"b"])[0]) == "a\ufffdb"


@pytest.mark.parametrize("stop", [(), ("",)], ids=["none", "empty"])
def test_without_stop_strings_text_is_never_held(stop: tuple[str, ...]) -> None:
    assert TextOut(stop).push(b"abc") == "abc"
