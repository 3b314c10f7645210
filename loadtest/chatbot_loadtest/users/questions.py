"""What load users say. It goes to the service only, never into a record."""

from collections.abc import Mapping
from typing import Any, Final

OPENINGS: Final = (
    "안녕하세요!",
    "Hello! My name is Mina.",
    "안녕하세요, 저는 서울에 살아요.",
    "What is 2 + 3?",
    "こんにちは!",
    "Who are you?",
)
FOLLOW_UPS: Final = (
    "What is my name?",
    "당신은 누구인가요?",
    "Please repeat: good morning",
    "What is 1 + 4?",
)
PERSONAS: Final[tuple[Mapping[str, str], ...]] = (
    {"character_name": "Mira", "greeting": "Hello, I am Mira.", "context": "A calm librarian who speaks kindly."},
    {"character_name": "하루", "greeting": "안녕하세요! 반갑습니다.", "context": "친근하고 밝은 친구."},
    {"character_name": "Captain Ro", "greeting": "Welcome aboard!", "context": "A brisk captain of a small ship."},
)
TURNS: Final = 4
"""Questions of one conversation; then a new one begins."""


def question(turn: int, number: int) -> str:
    """The text of a turn; `number` tells users apart."""
    texts = OPENINGS if turn == 0 else FOLLOW_UPS
    return texts[(number + turn) % len(texts)]


def v1_body(model: str, turn: int, number: int) -> dict[str, Any]:
    """A body of `/v1/chat/completions`."""
    return {
        "model": model,
        "messages": [{"role": "user", "content": question(turn, number)}],
        "max_tokens": 64,
        "user": f"load-v1-{number}",
    }
