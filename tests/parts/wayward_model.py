"""A model that forgets how its character speaks, and mostly remembers it when it is told again."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from chatbot.domain.generation import GenerationEvent, GenerationRequest

from parts.stub_generator import StubGenerator

RIGHT = ("어서 ", "와라냥. ", "오늘은 ", "새 책이 ", "들어왔다냥!")
WRONG: Mapping[str, Sequence[str]] = {
    "right": RIGHT,
    "language": ("Sure, I ", "would love to ", "help you with that. ", "What book do ", "you want?"),
    "chinese": ("当然可以", "，我很乐意", "帮助你。", "你想要", "什么书？"),
    "suffix": ("어서 ", "와라. ", "오늘은 ", "새 책이 ", "들어왔다!"),
    "sentences": ("하나다냥. ", "둘이다냥. ", "셋이다냥. ", "넷이다냥. ", "다섯이다냥."),
    "characters": ("첫 문장이다냥. ", *(["길고 긴 이야기가 이어지고 "] * 20), "끝난다냥."),
    "forbidden": ("저는 AI 언어 모델입니다. ", "그래도 반갑다냥."),
    "user_speech": ("반갑다냥.", "\n사용자: ", "나도 반가워.\n", "나비: 그렇다냥."),
    "markers": ("{{user}}, ", "어서 와라냥.", "<|im_end|>"),
    "loop": ("생선이 좋다냥. ", *(["나는 생선이 정말 아주 좋다냥. "] * 12)),
    "first_forbidden": ("저는 AI 언어 모델이다냥.",),
}
"""What it does wrong -> what it says."""


@dataclass
class WaywardModel(StubGenerator):
    """The question says what it does wrong. Told again, it does well, but for every `stubborn`th time.

    Attributes:
        stubborn: 0: never.
        retries: How often it was told again.
    """

    stubborn: int = 0
    retries: int = 0
    wrongs: Mapping[str, Sequence[str]] = field(default_factory=lambda: WRONG)

    async def generate(self, request: GenerationRequest) -> AsyncIterator[GenerationEvent]:
        pieces = self.wrongs[request.dialogue.question.content.split()[0]]
        if request.request_id.endswith("~2"):
            self.retries += 1
            if not self.stubborn or self.retries % self.stubborn:
                pieces = RIGHT
        self.pieces = pieces
        async for event in super().generate(request):
            yield event
