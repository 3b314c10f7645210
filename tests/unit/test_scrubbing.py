"""What must not be in a log is cut out and counted; what only looks a little like it stays."""

import json
import logging
import sys
import time
from collections.abc import Callable

import pytest
from chatbot.server.metrics import SCRUBBED_KINDS
from chatbot.server.observe.logs import JsonLines
from chatbot.server.observe.scrubbing import Scrubber, ScrubCollector, is_luhn

KEY = "cbk_0123456789AB_abcdefghijklmnopqrstuvwxyz012345ABCDEF"
FOUND = [
    ("key", KEY),
    ("key", "sk-proj-abcdefghijklmnop1234"),
    ("token", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJrdmluIn0.c2lnbmF0dXJl"),
    ("token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJrdmluIn0."),
    ("mail", "kim.cheolsu+work@mail.example.co.kr"),
    ("resident_number", "900101-1234567"),
    ("resident_number", "9001011234567"),
    ("resident_number", "051231 4234567"),
    ("phone", "010-1234-5678"),
    ("phone", "01012345678"),
    ("phone", "+82 10-1234-5678"),
    ("phone", "+821012345678"),
    ("phone", "02-123-4567"),
    ("phone", "070-1234-5678"),
    ("card", "4111 1111 1111 1111"),
    ("card", "4111111111111111"),
    ("card", "5500-0000-0000-0004"),
    ("card", "378282246310005"),
]
STAYS = [
    "",
    "policies of 3 tenants hold now, file eece5cd6baad7a54",
    "u_" + "abcdefghijklmnopqrstuvwxyz"[:26],
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "2026-11-21T12:00:00.000+00:00",
    "1795230520123",  # milliseconds
    "4111 1111 1111 1112",  # no card: the check digit is wrong
    "901301-1234567",  # no such month
    "1.2.3.4:9090",
    "192.168.100.200",
    "a@b",
    "user@",
    "eyJ",
    "key cbk_ is short",
    "c2b1a091d14f4e7d901c26753424e8c1",
    "8f1e2d3c-4b5a-6978-8f1e-2d3c4b5a6978",
    "12345678",
    "0.0123456789",
    "010",
]


@pytest.mark.parametrize(("kind", "text"), FOUND, ids=[f"{kind}-{number}" for number, (kind, _) in enumerate(FOUND)])
@pytest.mark.parametrize("around", ["{}", "사용자 {} 님", '{{"x": "{}"}}', "x={}, y", "({})"])
def test_what_is_a_persons_or_a_key_is_cut_out_and_counted(kind: str, text: str, around: str) -> None:
    scrubber = Scrubber()

    cleaned = scrubber.clean(around.format(text))

    assert text not in cleaned and cleaned == around.format(f"[{kind}]")
    assert scrubber.found == {kind: 1}


@pytest.mark.parametrize("text", STAYS)
def test_what_only_looks_like_it_stays(text: str) -> None:
    scrubber = Scrubber()

    assert scrubber.clean(text) == text and not scrubber.found


def test_several_in_one_line_are_all_cut_out() -> None:
    scrubber = Scrubber()
    text = " / ".join(one for _, one in FOUND)

    assert scrubber.clean(text) == " / ".join(f"[{kind}]" for kind, _ in FOUND)
    assert scrubber.found.total() == len(FOUND) and set(scrubber.found) == set(SCRUBBED_KINDS)


def line(message: str, **fields: object) -> dict[str, object]:
    record = logging.LogRecord("chatbot.x", logging.INFO, __file__, 1, message, None, None)
    record.__dict__.update(fields)
    return dict(json.loads(JsonLines().format(record)))


def test_messages_and_fields_of_a_line_are_cleaned_and_its_ids_are_not() -> None:
    traceparent = "00-41111111111111114111111111111111-4111111111111111-01"

    made = line(f"got {KEY}", reason="010-1234-5678", request_id="kim@example.com", traceparent=traceparent, status=200)

    assert made["message"] == "got [key]"
    assert (made["reason"], made["request_id"], made["status"]) == ("[phone]", "[mail]", 200)
    assert made["traceparent"] == traceparent


def test_counts_are_told_for_each_service_from_zero() -> None:
    scrubber = Scrubber()
    scrubber.clean(KEY)

    (family,) = ScrubCollector(["office", "character"], scrubber.found).collect()

    told = {(one.labels["service"], one.labels["kind"]): one.value for one in family.samples}
    assert told == {(name, kind): float(kind == "key") for name in ("office", "character") for kind in SCRUBBED_KINDS}


@pytest.mark.parametrize("number", ["79927398713", "4111111111111111", "378282246310005"])
def test_the_check_digit_is_that_of_the_standard(number: str) -> None:
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)

    assert is_luhn(number) and not is_luhn(wrong)


@pytest.mark.scale
def test_cost_of_a_line(scale: Callable[[int, int], int], figures: Callable[..., None]) -> None:
    """Also of hostile text: linear, so that ten times the text costs about ten times as much."""
    scrubber, rounds = Scrubber(), scale(2_000, 50_000)
    usual = "request", "team-a", "AbCdEf012345", "u_" + "a" * 26, "2b71a09d991a6359734e1da204c06b33"
    began = time.perf_counter()
    for _ in range(rounds):
        for text in usual:
            scrubber.clean(text)
    per_line = (time.perf_counter() - began) / rounds
    costs = {}
    for name, piece in (("digits", "1 "), ("at", "a@"), ("dots", "eyJa.a"), ("letters", "a"), ("cards", "4111-")):
        timed = []
        for size in (10_000, 100_000):
            text = (piece * size)[:size]
            began = time.perf_counter()
            cleaned = scrubber.clean(text)
            timed.append(time.perf_counter() - began)
            assert len(cleaned) <= size
        costs[f"{name}_ms"] = round(timed[1] * 1000, 2)

    figures(per_line_us=round(per_line * 1e6, 2), python=sys.version_info[1], **costs)
