"""Texts about limits of keys: Korean, English, Japanese."""

from typing import Final

from chatbot.api.problem_texts import Texts

LIMIT_TEXTS: Final[dict[str, Texts]] = {
    "title.rate_limited": (
        "한도에 도달했습니다",
        "A limit is reached",
        "上限に達しました",
    ),
    "detail.rate_limited": (
        "{whose}의 한도({limit})에 도달했습니다. {wait} 뒤에 다시 시도해 주세요.",
        "{whose} has reached its limit of {limit}. Try again in {wait}.",
        "{whose}の上限（{limit}）に達しました。{wait}後にもう一度お試しください。",
    ),
    "title.insufficient_quota": (
        "할당량을 다 썼습니다",
        "A quota is spent",
        "割り当てを使い切りました",
    ),
    "detail.insufficient_quota": (
        "{whose}의 할당량({limit})을 다 썼습니다. {wait} 뒤에 다시 쓸 수 있습니다. 부족하면 운영자에게 알려 주세요.",
        "{whose} has spent its quota of {limit}. It is new in {wait}. Ask the operator if you need more.",
        "{whose}の割り当て（{limit}）を使い切りました。{wait}後にまた使えます。追加は運用者にご相談ください。",
    ),
    "title.budget_unavailable": (
        "지금은 비용을 확인할 수 없습니다",
        "What this costs cannot be told now",
        "現在、費用を確認できません",
    ),
    "detail.budget_unavailable": (
        "비용 한도가 있는데 이 모델의 비용이나 남은 예산을 지금 확인할 수 없어 보내지 않았습니다. "
        "잠시 뒤에 다시 시도하거나 로컬 모델을 쓰세요.",
        "Money is limited here, and what this model costs or what is left cannot be told now, so nothing was sent. "
        "Try again later, or ask the local model.",
        "費用に上限がありますが、このモデルの費用または残りの予算を現在確認できないため、送信しませんでした。"
        "後でもう一度試すか、ローカルモデルを使ってください。",
    ),
    "problem.above_limit": (
        "이 요청 하나가 최대 {tokens} 토큰이라 한도 {maximum}을 넘습니다. 줄여 주세요.",
        "this one request may need {tokens} tokens, and the limit is {maximum}; shorten it.",
        "このリクエスト1つで最大{tokens}トークンとなり、上限{maximum}を超えます。短くしてください。",
    ),
    "limit.requests-minute": ("분당 요청 수", "requests a minute", "1分あたりのリクエスト数"),
    "limit.tokens-minute": ("분당 토큰 수", "tokens a minute", "1分あたりのトークン数"),
    "limit.tokens-day": ("하루 토큰 수", "tokens a day", "1日のトークン数"),
    "limit.tokens-month": ("한 달 토큰 수", "tokens a month", "1か月のトークン数"),
    "limit.usd-day": ("하루 비용", "dollars a day", "1日の費用"),
    "limit.concurrent": ("동시 요청 수", "requests at once", "同時リクエスト数"),
    "whose.key": ("이 API 키", "This API key", "このAPIキー"),
    "whose.tenant": ("이 API 키가 속한 조직", "This API key's organization", "このAPIキーの組織"),
    "whose.user": ("이 사용자", "This user", "このユーザー"),
}
_UNITS: Final = {
    "ko": ("일", "시간", "분", "초"),
    "en": ("d", "h", "min", "s"),
    "ja": ("日", "時間", "分", "秒"),
}
_SECONDS: Final = (86_400, 3600, 60, 1)


def duration(seconds: int, language: str) -> str:
    """A time for people: its two greatest parts that are not 0."""
    parts = []
    for size, unit in zip(_SECONDS, _UNITS[language], strict=True):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}" if language == "en" else f"{count}{unit}")
    return " ".join(parts[:2])
