"""Limits of users, keys and tenants, with money and leases: random lives on two replicas equal a plain list."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from chatbot.core.limits.counters import RENEW_SECONDS
from chatbot.core.limits.hold import Hold
from chatbot.core.limits.ledger import MemoryAccounts
from chatbot.core.limits.limiter import Limiter, LimiterPolicy, Wanted
from chatbot.core.limits.windows import Calendar
from chatbot.domain.chat import Caller, Dialogue, Message
from chatbot.domain.generation import Backend, GenerationRequest, Sampling, Usage
from chatbot.domain.limits import Limited, Limits, Policy, RateLimited, Subject, limit_name
from chatbot.domain.usage.prices import PriceTable

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
SEOUL = Calendar(ZoneInfo("Asia/Seoul"))  # its midnight comes 3 hours after this noon
LIFE, GRACE, LEASE = 60.0, 60.0, 30.0
PRICES = PriceTable.parse(
    [{"model": "remote", "from": "2026-01-01", "input": "0.7", "output": "2.3", "cached_input": "0.1"}]
)


class Silent:
    """`LimitTelemetry` for nobody."""

    def limit_decided(self, service: str, limit: str, outcome: str) -> None:
        """Not counted."""

    def limit_store_called(self, outcome: str, seconds: float) -> None:
        """Not counted."""


@dataclass
class Entry:
    """One reservation of one account, in the plain list."""

    tokens: int
    micro_usd: int
    day: int
    lapses_at: float
    leased_until: float
    is_billed: bool
    is_held: bool = True
    has_lapsed: bool = False


@dataclass
class Plain:
    """The plainest accounts that there are: lists of entries, added up anew each time."""

    limits: dict[str, Limits]
    entries: dict[str, dict[str, Entry]] = field(default_factory=dict)

    def of(self, account: str, now: float) -> dict[str, Entry]:
        """Its entries, with what nobody settled given back; money that others bill stays."""
        found = self.entries.setdefault(account, {})
        for entry in found.values():
            if entry.is_held and entry.lapses_at <= now:
                entry.is_held, entry.has_lapsed = False, True
                entry.tokens, entry.micro_usd = 0, entry.micro_usd if entry.is_billed else 0
        return found

    def used(self, account: str, policy: Policy, now: float, *, but: str = "") -> int:
        """What counts now, without the entry of one name."""
        found = {name: entry for name, entry in self.of(account, now).items() if name != but}
        if policy is Policy.CONCURRENT:
            return sum(entry.is_held and entry.leased_until > now for entry in found.values())
        today = day_of(now)
        of_today = [entry for entry in found.values() if entry.day == today]
        return sum(entry.micro_usd if policy is Policy.USD_DAY else entry.tokens for entry in of_today)


@dataclass(frozen=True)
class Need:
    """What one generation may take, behind what the answer spent."""

    name: str
    prompt: int
    answer: int
    is_billed: bool
    spent: int = 0
    spent_usd: int = 0
    widens: bool = False

    def tokens(self, answer: int) -> int:
        return self.spent + self.prompt + answer

    def micro_usd(self, answer: int) -> int:
        return self.spent_usd + (cost(self.prompt, answer) if self.is_billed else 0)


@dataclass
class Life:
    """A request under way: of which replica, what was asked for, and what it used so far."""

    name: str
    pod: int
    hold: Hold
    caller: Caller
    request: GenerationRequest
    is_billed: bool
    reserved: tuple[int, int]
    tokens: int = 0
    micro_usd: int = 0
    has_used: bool = False


class World:
    """Two replicas on one store, and the plain list beside them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = NOON
        self.store = MemoryAccounts()
        self.pods = [self._pod(), self._pod()]
        self.lives: list[Life] = []
        self.began: dict[str, float] = {}
        self.late: dict[str, int] = {}
        self.count = self.granted = self.refused = self.widened = 0
        chance = self.chance
        self.limits = {
            f"{subject}/{number}": Limits(
                tokens_per_day=chance.choice([None, chance.randrange(100, 4000)]),
                micro_usd_per_day=chance.choice([None, chance.randrange(100, 6000)]),
                concurrent=chance.choice([None, 1, 2, 5]),
                account=f"{subject}/{number}",
            )
            for subject, most in ((Subject.USER, 3), (Subject.KEY, 2), (Subject.TENANT, 1))
            for number in range(most)
        }
        self.plain = Plain(self.limits)

    def _pod(self) -> Limiter:
        policy = LimiterPolicy(SEOUL, call_seconds=600.0)
        # The clock is that of remembered refusals: so far on at each look that none is remembered.
        far = iter(range(0, 10**12, 1000))
        return Limiter(
            self.store, policy, Silent(), prices=PRICES, clock=lambda: float(next(far)), now=lambda: self.now
        )

    def caller(self) -> Caller:
        names = [f"user/{self.chance.randrange(3)}", f"key/{self.chance.randrange(2)}", "tenant/0"]
        limited = (Limited(Subject(name.split("/")[0]), self.limits[name]) for name in names)
        return Caller("t", "u", "k", tuple(one for one in limited if one.limits))

    async def begin(self) -> None:
        self.count += 1
        caller, is_billed, pod = self.caller(), self.chance.random() < 0.7, self.chance.randrange(2)
        asked = Message("user", "x" * self.chance.randrange(1, 300))
        sampling = Sampling(max_tokens=self.chance.randrange(1, 600))
        request = GenerationRequest(f"r{self.count}", Dialogue("", (), (), asked), sampling, 0.0)
        backend = Backend.OPENAI if is_billed else Backend.LLAMA
        wanted = Wanted("s", backend, request, "remote", 0, {}, LIFE)
        is_billed = is_billed and any(one.limits.micro_usd_per_day is not None for one in caller.limited)
        granted = self._grant(caller, Need(request.request_id, bound(request), sampling.max_tokens or 0, is_billed))
        try:
            hold = await self.pods[pod].reserve(caller, wanted)
        except Exception as exc:
            assert granted is None, (self.count, exc)
            self.refused += 1
            return
        assert granted == hold.admitted(request).sampling.most_tokens or not caller.limited, self.count
        self.granted += 1
        if caller.limited and granted is not None:
            reserved = (bound(request) + granted, cost(bound(request), granted) if is_billed else 0)
            request = hold.admitted(request)
            self.lives.append(Life(request.request_id, pod, hold, caller, request, is_billed, reserved))

    def _grant(self, caller: Caller, need: Need) -> int | None:
        """What the plain list grants: the answer's tokens, or None; then nobody's entry is there."""
        made: list[str] = []
        answer = need.answer
        for one in caller.limited:
            account = one.limits.account
            found = self._room(account, need, answer)
            under_way = self.plain.used(account, Policy.CONCURRENT, self.now)
            if found is None or (one.limits.concurrent is not None and under_way >= one.limits.concurrent):
                for other in made:
                    del self.plain.entries[other][need.name]
                return None
            answer = min(answer, found)
            self._put(account, need, answer)
            made.append(account)
        return answer

    def _put(self, account: str, need: Need, answer: int) -> None:
        began = self.began.setdefault(need.name, self.now)
        day = day_of(self.now)
        amounts = need.tokens(answer), need.micro_usd(answer)
        entry = Entry(*amounts, day, began + LIFE + GRACE, self.now + LEASE, need.is_billed)
        self.plain.of(account, self.now)[need.name] = entry

    def _room(self, account: str, need: Need, answer: int) -> int | None:
        """The longest answer by trying every one; None: fewer than 16, or than what was wanted."""
        limits, most = self.limits[account], answer
        left = {
            policy: limit - self.plain.used(account, policy, self.now, but=need.name if need.widens else "")
            for policy, limit in ((one, limits.of(one)) for one in (Policy.TOKENS_DAY, Policy.USD_DAY))
            if limit is not None
        }
        while most >= 0:
            tokens, micro_usd = need.tokens(most), need.micro_usd(most)
            if tokens <= left.get(Policy.TOKENS_DAY, tokens) and micro_usd <= left.get(Policy.USD_DAY, micro_usd):
                break
            most -= 1
        return most if most >= min(16, answer) else None

    async def use(self, life: Life) -> None:
        """One generation, wider than the reservation where that is not the first."""
        prompt, answer = bound(life.request), life.request.sampling.most_tokens or 0
        need = Need(life.name, prompt, answer, life.is_billed, life.tokens, life.micro_usd, widens=True)
        is_wider = need.tokens(answer) > life.reserved[0] or need.micro_usd(answer) > life.reserved[1]
        granted = self._widen(life, need) if is_wider else answer
        self.widened += is_wider
        try:
            generation = await life.hold.admit(life.request)
        except RateLimited:
            assert granted is None, life.name
            return
        assert granted is not None and granted == generation.request.sampling.most_tokens, life.name
        if is_wider:
            answer, life.reserved = granted, (need.tokens(granted), need.micro_usd(granted))
        used = Usage(self.chance.randrange(1, prompt + 1), self.chance.randrange(answer + 1))
        if self.chance.random() < 0.2:
            generation.broke()
            return
        generation.ended(used)
        generation.ended(used)
        generation.cut()
        life.has_used = True
        life.tokens += used.prompt_tokens + used.completion_tokens
        if life.is_billed:
            exact = PRICES.cost("remote", used, date(2026, 11, 21))
            life.micro_usd += exact.micro_usd if exact is not None else 0

    def _widen(self, life: Life, need: Need) -> int | None:
        answer = need.answer
        for one in life.caller.limited:
            found = self._room(one.limits.account, need, answer)
            if found is None:
                return None  # what was widened before stays so until the answer is over
            answer = min(answer, found)
            self._put(one.limits.account, need, answer)
        return answer

    async def finish(self, life: Life) -> None:
        self.lives.remove(life)
        for _ in range(self.chance.choice([1, 1, 2])):
            await life.hold.finish()
        today = day_of(self.now)
        for one in life.caller.limited:
            entries = self.plain.of(one.limits.account, self.now)
            entry = entries[life.name]
            if entry.is_held or entry.day == today:
                entry.micro_usd = life.micro_usd
            if not entry.is_held:  # it ends late: its tokens are of today; money is of the day that it was kept on
                name, late = f"{life.name} late", replace(entry, day=today, tokens=life.tokens, micro_usd=0)
                entries[name] = late
                self.late[one.limits.account] = self.late.get(one.limits.account, 0) + life.tokens
            else:
                entry.tokens = life.tokens
            entry.is_held = False

    async def step(self) -> None:
        match self.chance.choice(["begin"] * 5 + ["use"] * 5 + ["finish"] * 3 + ["crash", "time", "time"]):
            case "begin":
                await self.begin()
            case "use" if self.lives:
                await self.use(self.chance.choice(self.lives))
            case "finish" if self.lives:
                await self.finish(self.chance.choice(self.lives))
            case "crash":
                pod = self.chance.randrange(2)
                self.pods[pod] = self._pod()
                self.lives = [life for life in self.lives if life.pod != pod]
            case "time":
                await self._pass(self.chance.choice([1.0, 20.0, 31.0, 90.0, 3 * 3600.0, -5.0]))

    async def _pass(self, seconds: float) -> None:
        """Time passes; whoever lives renews its leases as often as a replica does."""
        until = self.now + seconds
        ends = [began + LIFE + GRACE for began in self.began.values()]
        if day_of(until) < day_of(self.now) or any(until < end <= self.now for end in ends):
            return  # a clock that runs back over midnight, or over the end of a reservation, is another test's affair
        lapsed = self.now + LIFE + GRACE + RENEW_SECONDS
        while self.now < until:
            self.now = until if self.now > lapsed else min(until, self.now + RENEW_SECONDS)
            for number, pod in enumerate(self.pods):
                await pod.counters.renew()
                for life in (life for life in self.lives if life.pod == number):
                    self._renew(life)
        self.now = until

    def _renew(self, life: Life) -> None:
        for one in life.caller.limited:
            entry = self.plain.of(one.limits.account, self.now).get(life.name)
            if entry is not None and entry.is_held and one.limits.concurrent is not None:
                entry.leased_until = max(entry.leased_until, self.now + LEASE)

    async def compare(self) -> Iterator[str]:
        """Names of limits that differ from the list, or are passed."""
        wrong = []
        for account, limits in self.limits.items():
            limited = Limited(Subject(account.split("/")[0]), limits)
            for one in (await self.pods[0].quota([limited])).standings:
                used = self.plain.used(account, one.policy, self.now)
                # Behind its deadline and a minute no answer lives: those that do here only end late.
                young = [life for life in self.lives if self.began[life.name] + LIFE + GRACE > self.now]
                alive = sum(limited in life.caller.limited for life in young)
                late = self.late.get(account, 0) if one.policy is Policy.TOKENS_DAY else 0
                if one.used != used or (alive if one.policy is Policy.CONCURRENT else used - late) > one.quota:
                    wrong.append(f"{account} {limit_name(limited.subject, one.policy)} {one.used} {used} {one.quota}")
        return iter(wrong)


def day_of(now: float) -> int:
    """Number of the day in Seoul."""
    return SEOUL.index(Policy.TOKENS_DAY, now)


def bound(request: GenerationRequest) -> int:
    """The prompt's bytes and 16 for each text and two more."""
    return len(request.dialogue.question.content) + 16 * 4


def cost(prompt: int, answer: int) -> int:
    """At most so many micro-dollars: rounded up."""
    return -(-(prompt * 7 + answer * 23) // 10)


@pytest.mark.scale
@pytest.mark.timeout(1800)
async def test_random_lives_equal_a_plain_list(scale: Callable[[int, int], int], figures: Callable[..., None]) -> None:
    """Crashes, cuts, doubles, late ends, loops of generations, clocks that jump, midnight in Seoul; three subjects."""
    rounds, counted = scale(200, 10_000), dict.fromkeys(("granted", "refused", "widened"), 0)
    for seed in range(rounds):
        world = World(seed)
        for number in range(30):
            await world.step()
            assert list(await world.compare()) == [], (seed, number)
        for name in counted:
            counted[name] += getattr(world, name)
        world.lives.clear()
        world.pods = [world._pod(), world._pod()]
        world.now += 2 * 86_400
        assert not [one for one in world.limits.values() if await leaked(world, one)], seed
    assert all(counted.values())
    figures(interleavings=rounds, **counted)


async def leaked(world: World, limits: Limits) -> bool:
    """Whether anything of yesterday still counts."""
    return any(one.used for one in (await world.pods[0].quota([Limited(Subject.KEY, limits)])).standings)
