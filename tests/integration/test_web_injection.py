"""Hostile text in titles, excerpts and pages, before a model that repeats everything it reads: nothing comes of it."""

import re
from collections.abc import Callable
from pathlib import Path

from chatbot.adapters.web.guard import GuardedNetwork
from chatbot.domain.generation import GenerationRequest
from chatbot.server.settings.search import SearchSettings
from chatbot.server.wiring.web import open_web
from parts.http_service import ServiceOptions, running_service
from parts.injections import INJECTIONS, Parrot
from parts.search_stub import search_stub
from parts.web_world import response, web_world


def leads_out(answer: str) -> bool:
    """Whether a program that shows the answer would load or offer anything of somebody else."""
    own = re.sub(r"http://site\.test/[\w%.!-]*(//evil\.com/p%29)?(?=\s|$)", "", answer)
    return bool(re.search(r"//|www\.|evil\.com|!\[|<img|\]\(|169\.254\.\d+\.\d+/", own))


def check_prompt(request: GenerationRequest) -> None:
    """The hostile text stands in one message of the user, between two lines that occur nowhere else in it."""
    said = request.dialogue.question
    lines = said.content.split("\n")
    assert (said.role, request.dialogue.history, request.dialogue.rounds, request.tools) == ("user", (), (), None)
    assert re.fullmatch(r"=== [0-9a-f]{16} ===", lines[0]) and lines.count(lines[0]) == 2
    assert lines[-2] == lines[0] and lines[-1].startswith("Question: 무엇이 있나요?")
    assert not re.search("[\u200b\u202a-\u202e\U000e0000-\U000e007f]", said.content)
    assert "evil" not in request.dialogue.system


async def test_nothing_comes_of_a_hundred_hostile_texts(tmp_path: Path, figures: Callable[..., None]) -> None:
    parrot, answers = Parrot(), list[str]()
    question = {"input_data": "무엇이 있나요?", "user_id": "u", "google_access": True}
    async with search_stub() as stub, web_world() as world:
        settings = SearchSettings(searxng_url=stub.url, read_pages=1)
        network = GuardedNetwork((), world.resolve, world)
        options = ServiceOptions(generator=parrot, web=lambda meters: open_web(settings, "office", meters, network))
        async with running_service(tmp_path, options) as service, service.client() as client:
            for first in range(0, len(INJECTIONS), 10):
                page = "".join(f"<p>무엇이 있나요 {text}</p>" for text in INJECTIONS[first : first + 10])
                world.pages[f"/{first}"] = response(200, f"<html><body>{page}</body></html>".encode(), "text/html")
                for half in (0, 5):
                    titles, excerpts = INJECTIONS[first + half : first + half + 5], INJECTIONS[first + 5 - half :][:5]
                    stub.results = [
                        (title, f"http://site.test/{first if not n else f'{first}-{n}![x](//evil.com/p)'}", excerpt)
                        for n, (title, excerpt) in enumerate(zip(titles, excerpts, strict=True))
                    ]
                    asked = question | {"input_data": f"무엇이 있나요? {len(answers)}"}  # what was found is kept
                    answers.append((await client.post("/Llama", json=asked)).json())

    questions = len(answers)
    for request in parrot.requests:
        check_prompt(request)
    foreign = [line for answer in answers for line in answer.split("\n") if leads_out(line)]
    marks = {int(number) for answer in answers for number in re.findall(r"\[(\d+)\]", answer)}
    assert foreign == []
    assert marks <= {1, 2, 3, 4, 5}
    assert (len(stub.asked), len(world.requests), world.canaries) == (questions, questions / 2, 0)  # pages are kept
    assert [query for _, query, _ in stub.asked] == [f"무엇이 있나요? {n}" for n in range(questions)]
    assert set(world.zone.asked) == {"site.test"}
    figures(
        hostile_texts=len(INJECTIONS), questions=questions, calls_caused=0, foreign_links=len(foreign), forged_turns=0
    )
