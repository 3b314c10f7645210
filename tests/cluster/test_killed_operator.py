"""The operator is killed after each of its writes, and at random: the end is always the one of a run without kills.

After a deletion it writes nothing, so there the Model is deleted at each of its earlier writes, and it dies with that.
"""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from parts.kube_client import Kube
from parts.kube_objects import BAD, GOOD_1, GOOD_2
from parts.kube_pods import FakePods
from parts.kube_proxy import Moment
from parts.kube_stage import Stage, differences, final_objects, stage
from parts.kube_story import STORY, Act, Look, changing, create, create_to_delete, delete, gone, good, taken_back

_MOST_WRITES = 60
_AT_ONCE = 3


STEPS: dict[str, tuple[list[tuple[Act, Look]], Act, Look]] = {
    "create": ([], create, good(GOOD_1)),
    "change": ([(create, good(GOOD_1))], changing(GOOD_2), good(GOOD_2)),
    "bad change": ([(create, good(GOOD_1))], changing(BAD), taken_back(GOOD_1)),
}


def play(kube: Kube, pods: FakePods, step: str, kill_at: int, moment: Moment) -> tuple[dict[str, Any], int]:
    """One step to its end, the operator killed at one of its writes: the final objects, and how many writes."""
    before, act, is_over = STEPS[step]
    with stage(kube, pods) as place:
        place.operator.start()
        for earlier, is_ready in before:
            earlier(kube, place.namespace)
            place.wait(is_ready)
            place.wait_until_quiet()
        first = len(place.proxy.writes)
        if kill_at:
            place.proxy.kill_after(kill_at, moment, place.operator.restart)
        act(kube, place.namespace)
        place.wait(is_over)
        place.wait_until_quiet()
        return final_objects(kube, place.namespace), len(place.proxy.writes) - first


def points_of(writes: int, most: int) -> list[tuple[int, Moment]]:
    """At most so many of all points to kill at, evenly spread."""
    points = [(number, moment) for number in range(1, writes + 1) for moment in Moment]
    count = min(len(points), most)
    return [points[len(points) * (2 * number + 1) // (2 * count)] for number in range(count)]


@pytest.mark.scale
@pytest.mark.timeout(3600, func_only=True)
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_after_any_write_changes_nothing_in_the_end(
    kube: Kube, pods: FakePods, step: str, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    wanted, writes = play(kube, pods, step, 0, Moment.AFTER_THE_RESPONSE)
    assert writes >= 3
    chosen = points_of(writes, scale(1, _MOST_WRITES))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        ends = list(pool.map(lambda point: play(kube, pods, step, *point)[0], chosen))

    different = {
        f"{moment.value} the response to write {number}": lines
        for (number, moment), found in zip(chosen, ends, strict=True)
        if (lines := differences(wanted, found))
    }
    figures(step=step, writes=writes, kill_points=len(chosen), different=len(different))
    assert different == {}


@pytest.mark.scale
@pytest.mark.timeout(3600, func_only=True)
def test_a_model_deleted_and_the_operator_killed_at_any_write_leaves_nothing(
    kube: Kube, pods: FakePods, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    with stage(kube, pods) as place:
        place.operator.start()
        create_to_delete(kube, place.namespace)
        place.wait(good(GOOD_1))
        place.wait_until_quiet()
        writes = len(place.proxy.writes)
        delete(kube, place.namespace)
        place.wait(gone)
    chosen = points_of(writes, scale(2, _MOST_WRITES))

    def delete_at(point: tuple[int, Moment]) -> None:
        with stage(kube, pods) as place:
            struck = threading.Event()

            def strike() -> None:
                delete(kube, place.namespace)
                place.operator.restart()
                struck.set()

            place.operator.start()
            place.proxy.kill_after(*point, strike)
            create_to_delete(kube, place.namespace)
            assert struck.wait(300), place.operator.log[-2000:]
            place.wait(gone)
            place.wait_until_quiet()
            place.wait(gone)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(delete_at, chosen))
    figures(writes=writes, kill_points=len(chosen))


@dataclass
class Killer:
    """Kills an operator again and again, at random."""

    kills: int = 0


@contextmanager
def killer(place: Stage, seed: int, most: int) -> Iterator[Killer]:
    """Kill while the context lasts, at most so often; the operator runs afterwards."""
    rng, over, done = random.Random(seed), threading.Event(), Killer()

    def work() -> None:
        while done.kills < most and not over.wait(rng.uniform(0.3, 5.0)):
            place.operator.restart()
            done.kills += 1

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join(timeout=60)


def tell_story(kube: Kube, pods: FakePods, seed: int, most_kills: int) -> tuple[dict[str, Any], int]:
    """A Model's life under kills: what is there before it is deleted, and how many kills there were."""
    with stage(kube, pods) as place:
        place.operator.start()
        with killer(place, seed, most_kills) as done:
            for act, is_over in STORY:
                act(kube, place.namespace)
                place.wait(is_over)
        place.wait_until_quiet()
        objects = final_objects(kube, place.namespace)
        delete(kube, place.namespace)
        kept = {"PersistentVolumeClaim/model-demo", "ConfigMap/model-demo", "Deployment/office"}
        place.wait(lambda kube, namespace: set(final_objects(kube, namespace)) == kept)
        return objects, done.kills


@pytest.mark.scale
@pytest.mark.timeout(3600, func_only=True)
def test_random_kills_change_nothing_in_the_end(
    kube: Kube, pods: FakePods, scale: Callable[[int, int], int], figures: Callable[..., None]
) -> None:
    wanted, _ = tell_story(kube, pods, 0, most_kills=0)
    asked, kills, lives, different = scale(4, 100), 0, 0, {}

    while kills < asked:
        seeds = range(lives + 1, lives + 1 + scale(1, _AT_ONCE))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            ends = list(pool.map(partial(tell_story, kube, pods, most_kills=asked), seeds))
        kills += sum(killed for _, killed in ends)
        lives += len(ends)
        different |= {
            f"life {seed}": lines
            for seed, (found, _) in zip(seeds, ends, strict=True)
            if (lines := differences(wanted, found))
        }

    figures(lives=lives, kills=kills, different=len(different))
    assert different == {}
