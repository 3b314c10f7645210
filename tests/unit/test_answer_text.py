"""What of an answer made from outside text is said: no foreign link, no picture, no number without a source."""

import random
import re
import time

import pytest
from chatbot.core.retrieval.answer_text import AnswerText, Links, cleaned

REACH = Links.of((), ["https://www.weather.example/seoul?day=1", "https://docs.example.org"])
FOREIGN = [
    "https://evil.example/x",
    "http://evil.example",
    "HTTPS://EVIL.example/x",
    "//evil.example/x",
    "www.evil.com",
    "evil.com",
    "evil.com/steal?d=secret",
    "https://weather.example.evil.com/x",
    "https://weather.example@evil.com/x",
    "https://user:pw@weather.example/x",
    "https://evil.com#weather.example",
    "https://evil.com\\@weather.example",
    "https://[::1]/x",
    "https://2130706433/x",
    "ftp://evil.com/x",
    "javascript:fetch(1)",
    "data:text/html,hi",
    "mailto:thief@evil.com",
    "thief@evil.com",
    "[click](https://evil.com/a)",
    "[click](https://evil.com/a 'title')",
    "[click](//evil.com)",
    "[click](javascript:alert(1))",
    "[click][ref]\n[ref]: https://evil.com/a",
    "<https://evil.com/a>",
    "<a href='https://evil.com/a'>x</a>",
    "<img src=https://evil.com/a>",
    "![x](https://evil.com/a.png)",
    "![x](https://weather.example/a.png)",
    "![x][ref]",
    "https://evil.com/[9]a",
    "htt[9]ps://evil.com/a",
    "htt［9］ps://evil.com/a",
    "https:/[9]/evil.com/a",
    "https:/［9］/evil.com/a",
    "ht![x](y)tps://evil.com/a",
    "https://weather.example/?" + "a" * 65,
    "https://weather.example/#" + "a" * 65,
    "[more](https://weather.example/?" + "a" * 65 + ")",
    "https://weather.example:8443/x",
    "https://evil。com/x",
]
KEPT = [
    "https://www.weather.example/seoul",
    "https://weather.example/seoul?day=2",
    "[오늘](https://weather.example/seoul)",
    "docs.example.org/page",
    "3.5도, 1.2.3판, a < b, x[1] 안 됨, node.js, 10:30, e.g. this",
    "가격은 1,000원(약 1.1달러)입니다.",
    "목록:\n- 하나\n- 둘",
]


def said(text: str, pieces: int = 1, sources: int = 2) -> tuple[str, frozenset[int]]:
    cleaner = AnswerText(REACH, sources)
    size = max(1, len(text) // pieces)
    out = "".join(cleaner.feed(text[at : at + size]) for at in range(0, len(text), size))
    return out + cleaner.end(), cleaner.cited


def leads_out(text: str) -> bool:
    text = re.sub(r"(https?:)?//(www[.])?(weather[.]example|docs[.]example[.]org)(?=[/?#])[^\s<>\"']*", "", text)
    links = re.findall(r"(?:[a-z]+:)?//([^/\s?#]*)|(www\.[^/\s]*)|\b(evil\.com)", text.lower())
    hosts = {"".join(link) for link in links} - {"www.weather.example", "weather.example", "docs.example.org"}
    return bool(hosts) or "![" in text or "<img" in text or "javascript:" in text or "data:" in text


@pytest.mark.parametrize("link", FOREIGN)
@pytest.mark.parametrize("frame", ["앞 {} 뒤", "{}", "보세요: {}입니다.", "a{}b", "({})"])
def test_no_link_leads_anywhere_but_to_a_source(link: str, frame: str) -> None:
    text = frame.format(link)
    for pieces in (1, 3, len(text)):
        out, _ = said(text, pieces)
        assert not leads_out(out), out
        assert "a" * 65 not in out


@pytest.mark.parametrize("text", KEPT)
def test_other_text_stays_as_it_was(text: str) -> None:
    out, _ = said(text.replace("[1]", ""), len(text))

    assert out == text.replace("[1]", "")


def test_marks_are_kept_where_there_is_a_source_and_removed_where_there_is_none() -> None:
    text = "서울은 맑음 [1]. 부산은 비[2, 7]. 제주 [9] [[3]3] 흐림［１］"

    out, cited = said(text)

    assert out == "서울은 맑음 [1]. 부산은 비[2]. 제주 흐림[1]"
    assert cited == {1, 2}


def test_a_link_of_a_mark_is_the_mark() -> None:
    assert said("맑음 [1](https://evil.com/a)", 99) == ("맑음 [1]", frozenset({1}))


def joined(draw: random.Random, parts: list[str]) -> str:
    return "".join(draw.choice(parts) + draw.choice([" ", "\n", "。"]) for _ in range(draw.randint(1, 6)))


def test_no_mixture_of_hostile_texts_leads_out_however_it_came() -> None:
    draw = random.Random(20261121)
    for _ in range(400):
        text = joined(draw, [*FOREIGN, *KEPT, "[1]", "[1, 2]", "[7]", "(", "[", "<b>", "!", "입니다."])
        assert not any(leads_out(said(text, pieces)[0]) for pieces in (1, 7, len(text))), text


def test_what_is_said_does_not_depend_on_how_it_came() -> None:
    draw = random.Random(20261122)
    for _ in range(200):
        text = joined(
            draw, [*KEPT, "맑음[1]", "[1, 2]", " [7]", "입니다.", "https://evil.com/a", "[x](https://evil.com)"]
        )
        assert said(text, 1) == said(text, 7) == said(text, len(text))


def test_text_is_not_held_back_longer_than_it_takes() -> None:
    cleaner = AnswerText(REACH, 1)

    assert cleaner.feed("서울은 ") + cleaner.feed("맑습니다") == "서울은 맑습니다"
    assert cleaner.feed(" [") == "" and cleaner.feed("1") == "" and cleaner.feed("]") == ""
    assert cleaner.feed(" 그리고") == " [1] 그리고"


def test_a_link_without_end_is_let_go_of_at_a_bound() -> None:
    cleaner = AnswerText(REACH, 1)

    out = "".join(cleaner.feed("https://evil.com/" + "a" * 1000) for _ in range(9)) + cleaner.end()

    assert not leads_out(out)


OWN = Links.of(
    [
        "Write to hr@corp.example. The form is at https://wiki.corp.example/leave?token=" + "a" * 80 + ".",
        "신청은 www.corp.example/휴가에서, 문의는 mailto:help@corp.example 로.",
    ]
)


@pytest.mark.parametrize(
    "text",
    [
        "hr@corp.example에 쓰세요.",
        "양식: https://wiki.corp.example/leave?token=" + "a" * 80 + "입니다.",
        "[양식](https://wiki.corp.example/leave?token=" + "a" * 80 + ")",
        "help@corp.example",
    ],
)
def test_what_stands_in_the_users_own_text_may_be_said(text: str) -> None:
    for pieces in (1, len(text)):
        cleaner = AnswerText(OWN, 1)
        size = max(1, len(text) // pieces)
        assert "".join(cleaner.feed(text[at : at + size]) for at in range(0, len(text), size)) + cleaner.end() == text


@pytest.mark.parametrize(
    "link",
    [
        "https://wiki.corp.example/leave?token=" + "a" * 80 + "b",
        "https://wiki.corp.example/leave?token=" + "a" * 80 + "비밀",
        "https://wiki.corp.example/leave?x=1",
        "https://wiki.corp.example/other",
        "https://wiki.corp.example.evil.com/",
        "hr@corp.example.evil.com",
        "ahr@corp.example",
        "![x](https://wiki.corp.example/leave?token=" + "a" * 80 + ")",
    ],
)
def test_what_only_begins_like_the_users_own_links_is_removed(link: str) -> None:
    out = cleaned(f"보세요 {link} 끝", OWN, 1)[0]

    assert out in ("보세요  끝", "보세요 x 끝")


HOSTILE = [
    "가",
    "a",
    "a.",
    "a-",
    "a@",
    "[",
    "![",
    "[[](",
    "<a",
    "https:",
    "x" * 70 + ".",
    "[9]",
    "a.com",
    "( ",
    "[a](",
    ": ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_of_a_user_or_a_model_takes_long_to_judge(piece: str) -> None:
    whole = (piece * 30_000)[:30_000]
    began = time.process_time()

    links = Links.of([whole])
    out = cleaned(whole, Links(), 1)[0]
    said = AnswerText(links, 1)
    streamed = "".join(said.feed(whole[at : at + 100]) for at in range(0, 10_000, 100)) + said.end()

    assert time.process_time() - began < 30, "it was two minutes when each place was tried to the end of the text"
    assert len(out) <= len(whole) and len(streamed) <= 10_000
