"""What `/info` says of the machine: of a container its share, and never at the price of the event loop."""

import asyncio
import os
import threading
from pathlib import Path

import pytest
from chatbot.core.performance import Machine, Share
from chatbot.server.observe.machine_facts import MachineFacts, read_machine

GIB = 2**30
MEMINFO = f"MemTotal: {16 * GIB // 1024} kB\nMemFree: 1 kB\nMemAvailable: {10 * GIB // 1024} kB\n"
WHOLE = Share(16 * GIB, 6 * GIB, "machine")
FACTS = Machine(2.0, "machine", None, None, ())


def files(root: Path, **contents: str) -> Path:
    """A tree of files; `__` in a name is a slash."""
    for name, content in contents.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("contents", "memory"),
    [
        ({}, WHOLE),
        ({"sys__fs__cgroup__memory.max": "max"}, WHOLE),
        ({"sys__fs__cgroup__memory.max": str(64 * GIB)}, WHOLE),
        (
            {"sys__fs__cgroup__memory.max": str(4 * GIB), "sys__fs__cgroup__memory.stat": f"anon {GIB}\nfile {GIB}"},
            Share(4 * GIB, GIB, "container"),
        ),
        (
            {
                "sys__fs__cgroup__memory__memory.limit_in_bytes": str(2 * GIB),
                "sys__fs__cgroup__memory__memory.stat": f"cache 5\ntotal_rss {GIB}",
            },
            Share(2 * GIB, GIB, "container"),
        ),
    ],
    ids=["no container", "no limit", "limit above the machine", "v2", "v1"],
)
def test_memory_is_the_containers_where_that_is_less(tmp_path: Path, contents: dict[str, str], memory: Share) -> None:
    root = files(tmp_path, proc__meminfo=MEMINFO, **contents)

    assert read_machine(tmp_path, root).memory == memory


def test_cpus_are_the_containers_share_in_parts_of_one(tmp_path: Path) -> None:
    whole = float(len(os.sched_getaffinity(0)))
    half, wide = (
        read_machine(tmp_path, files(tmp_path / name, **{"sys__fs__cgroup__cpu.max": quota}))
        for name, quota in (("half", "50000 100000"), ("wide", "100000000 100000"))
    )

    assert (half.cpus, half.cpus_limited_by) == (0.5, "container")
    assert (wide.cpus, wide.cpus_limited_by) == (whole, "machine")
    assert half.memory is None  # nothing says it, so nothing is claimed


def test_gpus_are_those_that_the_driver_shows_to_the_process(tmp_path: Path) -> None:
    shown = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 66\nGPU UUID: \t GPU-1\n"
    root = files(
        tmp_path,
        **{
            "proc__driver__nvidia__gpus__0000:0a:00.0__information": shown,
            "proc__driver__nvidia__gpus__0000:1b:00.0__information": shown,
        },
    )

    assert read_machine(tmp_path, root).gpus == ("NVIDIA H100 80GB HBM3",) * 2
    assert read_machine(tmp_path, tmp_path / "nothing").gpus == ()


def test_the_disk_is_the_one_that_the_folder_will_be_on(tmp_path: Path) -> None:
    disk = read_machine(tmp_path / "not" / "made" / "yet").disk

    assert disk is not None
    assert 0 < disk.used_bytes <= disk.limit_bytes


async def test_a_reading_that_hangs_holds_nobody_and_is_not_begun_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatbot.server.observe.machine_facts._PATIENCE_SECONDS", 0.01)
    begun, go_on = [], threading.Event()

    def read() -> Machine:
        begun.append(1)
        go_on.wait(30)
        return FACTS

    facts = MachineFacts(read)
    early = await asyncio.gather(facts(), facts(), facts())
    go_on.set()
    monkeypatch.setattr("chatbot.server.observe.machine_facts._PATIENCE_SECONDS", 30)
    late = await facts()

    assert early == [None, None, None]
    assert (late, len(begun)) == (FACTS, 1)


async def test_facts_are_read_anew_when_they_are_old_and_kept_where_that_fails() -> None:
    now, answers = [0.0], [FACTS, OSError("disk")]

    def read() -> Machine:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    facts = MachineFacts(read, lambda: now[0])
    first, again = await facts(), await facts()
    now[0] = 6.0
    later = await facts()

    assert (first, again, later, answers) == (FACTS, FACTS, FACTS, [])
