"""What is left of limits, as headers: the IETF's fields, and under `/v1` those that clients of OpenAI's read.

`RateLimit-Policy` and `RateLimit` follow draft-ietf-httpapi-ratelimit-headers-10; it knows no unit for tokens, so those
policies name theirs in a parameter of our own. Names of a tenant's and a user's limits begin with whose they are.
"""

import math
from collections.abc import Iterator
from typing import Final

from chatbot.domain.limits import Policy, Quota, Standing

DEGRADED_HEADER: Final = "X-Chatbot-Degraded"
_UNITS: Final = {
    Policy.REQUESTS_MINUTE: "",
    Policy.USD_DAY: ';chatbot-unit="micro-usd"',
    Policy.CONCURRENT: ';qu="concurrent-requests"',
}
_TOKENS: Final = ';chatbot-unit="tokens"'
_OPENAI: Final = {
    "requests": (Policy.REQUESTS_MINUTE,),
    "tokens": (Policy.TOKENS_MINUTE, Policy.TOKENS_DAY, Policy.TOKENS_MONTH),
}


def rate_headers(quota: Quota, *, v1: bool) -> Iterator[tuple[str, str]]:
    """The headers of an answer or a refusal; none where nothing is limited."""
    if quota.is_degraded:
        yield DEGRADED_HEADER, "limits"
    if not quota.standings:
        return
    yield "RateLimit-Policy", ", ".join(map(_policy, quota.standings))
    yield "RateLimit", ", ".join(f'"{one.name}";r={one.remaining};t={_whole(one)}' for one in quota.standings)
    if v1:
        for unit, policies in _OPENAI.items():
            found = [one for policy in policies for one in quota.standings if one.policy is policy]
            if found:  # of the window that ends first, whoever has least left
                least = min((one for one in found if one.policy is found[0].policy), key=lambda one: one.remaining)
                yield f"x-ratelimit-limit-{unit}", str(least.quota)
                yield f"x-ratelimit-remaining-{unit}", str(least.remaining)
                yield f"x-ratelimit-reset-{unit}", _go_duration(_whole(least))


def _policy(one: Standing) -> str:
    window = f";w={one.window_seconds}" if one.window_seconds else ""
    return f'"{one.name}";q={one.quota}{window}{_UNITS.get(one.policy, _TOKENS)}'


def _whole(one: Standing) -> int:
    return math.ceil(one.resets_seconds)


def _go_duration(seconds: int) -> str:
    """As OpenAI writes it: `12s`, `6m0s`, `8h26m52s`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{head}{rest}s"
