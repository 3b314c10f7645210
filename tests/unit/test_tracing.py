"""What a span says of a request, in which phases, and that nothing of it is there where nobody wants it."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
from chatbot.api.wire.tracing import Told
from chatbot.domain.usage.rows import UsageRow, UseOutcome
from chatbot.server.observe.tracing import attributes
from chatbot.server.observe.tracing.attributes import attributes_of, is_failed, phases_of, span_name
from hypothesis import given
from hypothesis import strategies as st

ROW = UsageRow(
    id="w1",
    at=1_000.0,
    tenant="team-a",
    key="A" * 12,
    user="u_pseudonym",
    service="office",
    route="/Llama",
    backend="llama",
    model="m-8b",
    revision="abc",
    outcome=UseOutcome.OK,
    prompt_tokens=100,
    cached_tokens=60,
    completion_tokens=20,
    queue_seconds=1.0,
    first_seconds=1.5,
    seconds=3.0,
    tools=("calculate",),
    micro_usd=1_250_000,
    price="v1",
)


def test_a_span_says_what_the_conventions_call_so() -> None:
    told = Told(ROW, "chat", "c_talk", "stop")

    assert span_name(told) == "chat m-8b"
    assert attributes_of(told) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "chatbot",
        "gen_ai.request.model": "m-8b",
        "gen_ai.response.model": "m-8b",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.conversation.id": "c_talk",
        "enduser.pseudo.id": "u_pseudonym",
        "http.route": "/Llama",
        "chatbot.service": "office",
        "chatbot.tenant": "team-a",
        "chatbot.key.id": "A" * 12,
        "chatbot.model.revision": "abc",
        "chatbot.outcome": "ok",
        "chatbot.tools": ("calculate",),
        "chatbot.cost.usd": 1.25,
    }


def test_what_is_not_known_is_left_out() -> None:
    bare = replace(ROW, user="", tenant="", key="", model="", revision="", tools=(), price="", micro_usd=0)
    names = attributes_of(Told(bare, "chat")).keys()

    assert names == {
        *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.usage.input_tokens", "http.route"),
        *("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.output_tokens", "chatbot.service", "chatbot.outcome"),
    }
    assert span_name(Told(bare, "chat")) == "chat"


@pytest.mark.parametrize("outcome", UseOutcome)
def test_what_failed_is_an_error_and_a_client_that_left_is_none(outcome: UseOutcome) -> None:
    row = replace(ROW, outcome=outcome)
    fine = outcome in (UseOutcome.OK, UseOutcome.REPEATED, UseOutcome.CLIENT_GONE)

    assert is_failed(row) is not fine
    assert (attributes.ERROR in attributes_of(Told(row, "chat"))) is not fine


def test_a_request_has_its_phases() -> None:
    def of(**given: float) -> list[tuple[str, float, float]]:
        none = {"queue_seconds": 0.0, "first_seconds": 0.0, "completion_tokens": 0}
        phases = phases_of(replace(ROW, **none | given))  # type: ignore[arg-type]
        return [(each.name, each.begins, each.ends) for each in phases]

    assert of(queue_seconds=1.0, first_seconds=1.5, completion_tokens=3) == [
        *(("queue", 0.0, 1.0), ("prefill", 1.0, 1.5), ("decode", 1.5, 3.0))
    ]
    assert of(first_seconds=0.5) == [("prefill", 0.0, 0.5), ("decode", 0.5, 3.0)]
    assert of(queue_seconds=3.0) == [("queue", 0.0, 3.0)]
    assert of(queue_seconds=1.0, completion_tokens=2) == [("queue", 0.0, 1.0), ("prefill", 1.0, 3.0)]
    assert of() == []


_SECONDS = st.floats(min_value=-1.0, max_value=1e6)


@given(queued=_SECONDS, first=_SECONDS, whole=_SECONDS, tokens=st.integers(0, 5))
def test_phases_follow_each_other_inside_the_request(queued: float, first: float, whole: float, tokens: int) -> None:
    row = replace(ROW, queue_seconds=queued, first_seconds=first, seconds=whole, completion_tokens=tokens)
    phases = phases_of(row)

    assert all(0.0 <= phase.begins < phase.ends <= max(whole, 0.0) for phase in phases)
    assert all(one.ends == next_one.begins for one, next_one in pairwise(phases))


def test_nothing_of_it_is_imported_where_no_collector_is_named() -> None:
    asked = (
        "import sys, chatbot.local.start, chatbot.server.run; from chatbot.server.settings.whole import Settings;"
        "from chatbot.server.wiring.access.traces import open_traces; print(open_traces(Settings(), ['office']),"
        "[name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    told = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True)

    assert told.stdout.strip() == "None []"
