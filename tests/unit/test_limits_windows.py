"""What of quotas is told: how much of a day or a month tenants have used."""

from chatbot.core.limits.windows import MOST_TENANTS, OTHER_TENANTS, WindowUse
from chatbot.domain.limits import Policy, Standing, Subject


def standing(used: int, *, policy: Policy = Policy.TOKENS_DAY, subject: Subject = Subject.TENANT) -> Standing:
    return Standing(policy, 100, 86_400, used, 100 - used, 60.0, subject)


def test_what_tenants_used_is_seen_until_the_window_is_new() -> None:
    now = 0.0
    use = WindowUse(lambda: now)
    money = standing(93, policy=Policy.USD_DAY)
    use.seen("a", [standing(80), money, standing(99, subject=Subject.USER), standing(99, policy=Policy.CONCURRENT)])
    use.seen("b", [standing(7)])
    use.seen("a", [standing(81)])

    assert set(use.read()) == {
        ("a", "tenant-tokens-day", 0.81),
        ("a", "tenant-usd-day", 0.93),
        ("b", "tenant-tokens-day", 0.07),
    }
    now = 60.0
    assert {ratio for _, _, ratio in use.read()} == {0.0}


def test_tenants_beyond_the_first_fifty_are_one() -> None:
    use = WindowUse(lambda: 0.0)
    for number in range(MOST_TENANTS + 30):
        use.seen(f"t{number}", [standing(number)])

    seen = {tenant: ratio for tenant, _, ratio in use.read()}
    assert len(seen) == MOST_TENANTS + 1 and seen[OTHER_TENANTS] == 0.79
