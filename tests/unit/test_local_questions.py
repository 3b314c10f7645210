"""In which language a model is asked first."""

import pytest
from chatbot.local.questions import FIRST_QUESTIONS, language_of


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ja_JP.UTF-8", "LC_TIME": "ko_KR.UTF-8"}, "ja"),
        ({"LANG": "ko_KR.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LANG": "ko_KR.UTF-8", "LC_MESSAGES": "en_US.UTF-8", "LC_ALL": "ja_JP"}, "ja"),
        ({"LC_ALL": "", "LANG": "ko"}, "ko"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "fr_FR.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_it_is_that_of_the_terminal_where_there_are_questions_in_it(environment: dict[str, str], language: str) -> None:
    assert language_of(environment) == language


def test_every_language_asks_both_services_the_same() -> None:
    asked = [[(one.service, sorted(one.body)) for one in questions] for questions in FIRST_QUESTIONS.values()]

    assert asked[1:] == asked[:-1]
