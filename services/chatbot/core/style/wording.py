"""Rules in words, for the second attempt: the last thing that the model reads."""

from collections.abc import Callable, Mapping
from typing import Final

from chatbot.core.style.checks import Rules

_LANGUAGES: Final[Mapping[str, Mapping[str, str]]] = {
    "ko": {"ko": "한국어", "en": "영어", "ja": "일본어", "zh": "중국어"},
    "en": {"ko": "Korean", "en": "English", "ja": "Japanese", "zh": "Chinese"},
    "ja": {"ko": "韓国語", "en": "英語", "ja": "日本語", "zh": "中国語"},
    "zh": {"ko": "韩语", "en": "英语", "ja": "日语", "zh": "中文"},
}
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "ko": {
        "language": "반드시 {language}로만 답한다.",
        "suffix": "모든 문장을 {suffixes}(으)로 끝낸다.",
        "sentences": "{count}문장 이내로 답한다.",
        "characters": "{count}자 이내로 답한다.",
        "forbidden": "다음 말은 절대 쓰지 않는다: {phrases}.",
        "always": "{character}의 말만 한다. {user}의 말은 하지 않는다. 같은 말을 되풀이하지 않는다.",
    },
    "en": {
        "language": "Answer only in {language}.",
        "suffix": "End every sentence with {suffixes}.",
        "sentences": "Answer in at most {count} sentences.",
        "characters": "Answer in at most {count} characters.",
        "forbidden": "Never say: {phrases}.",
        "always": "Speak only as {character}, never for {user}. Do not repeat yourself.",
    },
    "ja": {
        "language": "必ず{language}だけで答える。",
        "suffix": "すべての文を{suffixes}で終える。",
        "sentences": "{count}文以内で答える。",
        "characters": "{count}文字以内で答える。",
        "forbidden": "次の言葉は決して使わない:{phrases}。",
        "always": "{character}としてだけ話し、{user}の言葉は言わない。同じことを繰り返さない。",
    },
    "zh": {
        "language": "只用{language}回答。",
        "suffix": "每句话都以{suffixes}结尾。",
        "sentences": "最多用{count}句话回答。",
        "characters": "最多用{count}个字回答。",
        "forbidden": "绝不说：{phrases}。",
        "always": "只以{character}的身份说话，不替{user}说话，不要重复。",
    },
}


def reminder(rules: Rules, language: str) -> str:
    """All rules of a character, in a language that has words for them."""
    language = language if language in _WORDS else "en"
    words = _WORDS[language]
    said = [words[check].format(**_VALUES[check](rules, language)) for check in rules.checks if check in _VALUES]
    return " ".join((*said, words["always"].format(character=rules.character_name, user=rules.user_name)))


_VALUES: Final[Mapping[str, Callable[[Rules, str], dict[str, object]]]] = {
    "language": lambda rules, language: {"language": _LANGUAGES[language][rules.style.language]},
    "suffix": lambda rules, _: {"suffixes": " / ".join(f'"{one}"' for one in rules.style.sentence_suffix.any)},
    "sentences": lambda rules, _: {"count": rules.style.max_sentences},
    "characters": lambda rules, _: {"count": rules.style.max_chars},
    "forbidden": lambda rules, _: {"phrases": ", ".join(f'"{one}"' for one in rules.style.forbid)},
}
