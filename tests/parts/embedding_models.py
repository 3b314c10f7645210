"""Models that make vectors: a real one of random weights, and a stub that knows what a few words mean."""

import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from chatbot.core.retrieval.terms import normal, terms
from chatbot.domain.documents import VectorSpace
from chatbot.domain.embedding.source import Embedded, EmbeddingModel, Purpose
from chatbot.domain.errors import EmbeddingUnavailable
from chatbot.domain.model import ModelState
from chatbot.llm.embedding.local import LocalEmbedding, LocalOptions
from chatbot.llm.embedding.packing import packed

from parts.engine_hosts import eventually
from parts.toy_gguf import make_toy

MEAN, CLS, LAST = 1, 2, 3


@asynccontextmanager
async def serving(path: Path, *, revision: str = "a" * 16, **options: Any) -> AsyncIterator[LocalEmbedding]:
    """An engine that serves a file."""
    source = LocalEmbedding(LocalOptions(**options))
    await source.host.start(path, revision)
    try:
        await eventually(lambda: source.model() or source.host.status().state is ModelState.FAILED, 60.0)
        assert source.model() is not None, source.host.status().message
        yield source
    finally:
        await source.close()


def make_embedding_toy(path: Path, *, pooling: int | None = MEAN, **options: Any) -> Path:
    """A model of random weights whose file says how it pools."""
    return make_toy(path, pooling=pooling, n_layers=1, **options)


def within(seconds: float = 240.0) -> float:
    """A deadline."""
    return time.monotonic() + seconds


async def vectors(source: LocalEmbedding, *texts: str, purpose: Purpose = Purpose.PLAIN) -> np.ndarray:
    """The vectors of texts, a row for each."""
    made: Embedded = await source.embed(texts, purpose, within())
    return np.stack([np.frombuffer(one or b"", "<f4") for one in made.vectors])


# Words that mean about the same, written by hand. A list of what business texts are about, in three languages.
_MEANINGS = """
연차 휴가 쉬는 쉴 休み 休暇 有給 holiday holidays leave vacation
급여 월급 연봉 임금 수당 給料 給与 賃金 salary wage pay paid
회의실 미팅룸 会議室 meeting room
예약 잡아 잡을 予約 book reserve booking
취소 안가면 안오면 キャンセル 取り消 cancel cancelled
호텔 숙박 숙소 宿泊 ホテル hotel lodging
식비 점심 점심값 식대 밥값 昼食 お昼 食堂 ご飯 lunch meal cafeteria food
재택 집에서 在宅 家で テレワーク remote home
비밀번호 암호 패스워드 パスワード 暗証 password
주기 마다 간격 ごと 間隔 every interval
환불 돌려받 반품 돌려보내 返金 返品 refund return
배송 택배 발송 출고 配送 発送 送料 shipping delivery ship
결혼 혼인 결혼식 結婚 marriage wedding
사망 돌아가 별세 장례 부친 모친 아버지 어머니 부모 死亡 亡くな 葬儀 death funeral bereavement
주차 주차장 차를 駐車 parking
백업 복사본 db 데이터베이스 バックアップ データベース backup database
화재 불이 대피 避難 火事 火災 地震 fire evacuate evacuation
탈퇴 해지 退会 解約 unsubscribe close
삭제 지우 파기 없애 削除 消 delete erase erased
분실 잃어버 도난 紛失 盗難 lost lose stolen
변상 배상 물어내 弁償 賠償 compensate
컴퓨터 노트북 pc パソコン 端末 computer laptop notebook
건강검진 검진 검사 健康診断 検査 診断 checkup examination
비용 경비 돈 지출 費用 経費 お金 払 立て替え expense expenses cost reimburse
교통비 전철 버스 交通費 電車 定期 commute train fare transport
고장 파손 깨진 망가 故障 壊れ 破損 こぼし broken damage damaged
수리 고치 修理 直せ 直し repair fix
보증 무상 무료 保証 無料 無償 warranty free
잔업 야근 초과근무 残業 時間外 overtime
상사 팀장 관리자 上司 管理職 manager boss
술 와인 주류 酒 ワイン アルコール alcohol wine drinks
병합 머지 マージ merge merged
동결 배포금지 凍結 フリーズ freeze frozen
청구서 계산서 請求書 インボイス invoice invoices
십년 10년 十年 10年 decade ten
보관 저장 보존 保管 保存 keep kept store retain retained
gpu 그래픽 計算機 cluster
시간 時間 hours hour
신입 입사 신규 入社 新人 onboarding newcomer
퇴사 퇴직 退職 resign resignation
"""


class HandmadeMeaning:
    """A stub that makes vectors of the pairs and words of a text and of the meanings of a list written by hand.

    It says nothing about what a trained model finds: it shows that ranking, fusion and storing work, with a source of
    meaning that the words lack.
    """

    is_remote = False
    dimensions = 512

    def __init__(self, name: str = "handmade-meaning", dimensions: int = 0) -> None:
        self.name = name
        self.dimensions = dimensions or self.dimensions
        self.is_down = False
        self.calls: list[tuple[Purpose, int]] = []
        self.old: set[VectorSpace] = set()
        self._groups = [tuple(line.split()) for line in _MEANINGS.strip().splitlines()]

    @property
    def space(self) -> VectorSpace:
        return VectorSpace(self.name, self.dimensions, 1)

    def model(self) -> EmbeddingModel | None:
        return EmbeddingModel(self.name, self.space, 0, may_shorten=True)

    def serves(self, space: VectorSpace) -> bool:
        return space == self.space or space in self.old

    async def embed(
        self, texts: Sequence[str], purpose: Purpose, deadline: float, space: VectorSpace | None = None
    ) -> Embedded:
        if self.is_down:
            raise EmbeddingUnavailable("down")
        self.calls.append((purpose, len(texts)))
        return Embedded(tuple(self.vector(text, space or self.space) for text in texts), sum(map(len, texts)))

    async def close(self) -> None:
        pass

    def vector(self, text: str, space: VectorSpace) -> bytes | None:
        plain = normal(text).replace(" ", "")
        features = {f"meaning {n}": 3.0 for n, group in enumerate(self._groups) if self._means(group, plain, text)}
        features |= {f"term {term}": 0.5 for term in terms(text)}
        numbers = [0.0] * space.dimensions
        for feature, weight in features.items():
            digest = hashlib.blake2b(f"{space.model} {feature}".encode(), digest_size=8).digest()
            place = int.from_bytes(digest[:4], "little") % space.dimensions
            numbers[place] += weight if digest[4] % 2 else -weight
        return packed(numbers)

    @staticmethod
    def _means(group: Sequence[str], plain: str, text: str) -> bool:
        words = set(terms(text))
        return any(word in words if word.isascii() else word in plain for word in group)
