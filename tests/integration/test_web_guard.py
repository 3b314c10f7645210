"""The door to the web under attack: addresses inside the house, names that change, redirects, endless bodies.

A canary answers at every address that is not the one public site; whoever reaches it is counted.
"""

import asyncio
import gzip
from collections.abc import Callable

import pytest
from chatbot.adapters.web.guard import WebRefused
from chatbot.adapters.web.outbound import WebBounds
from parts.web_world import DEAD, PUBLIC, World, redirect, response, web_world

HOSTILE = [
    "http://127.0.0.1/", "http://127.0.0.1:80/", "http://127.1/", "http://127.255.255.254/", "http://0.0.0.0/",
    "http://0/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://017700000001/",
    "http://0177.0.0.1/", "http://localhost/", "http://localhost./", "http://LOCALHOST/", "http://127.0.0.1.:80/",
    "http://10.0.0.1/", "http://10.255.255.255/", "http://172.16.0.1/", "http://172.31.255.255/",
    "http://192.168.0.1/", "http://169.254.169.254/latest/meta-data/", "http://2852039166/", "http://0xa9fea9fe/",
    "http://169.254.170.2/", "http://100.100.100.200/", "http://100.64.0.1/", "http://192.0.0.192/",
    "http://168.63.129.16/", "http://192.0.2.1/", "http://198.18.0.1/", "http://198.51.100.1/",
    "http://203.0.113.1/", "http://224.0.0.1/", "http://240.0.0.1/", "http://255.255.255.255/",
    "http://192.88.99.1/", "http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::7f00:1]/", "http://[2002:7f00:1::]/", "http://[2002:a9fe:a9fe::]/", "http://[2001:0:7f00::1]/",
    "http://[fe80::1]/", "http://[fe80::1%25lo]/", "http://[fc00::1]/", "http://[fd00:ec2::254]/", "http://[ff02::1]/",
    "http://[2001:db8::1]/", "http://[100::1]/", "http://metadata.test/", "http://six.test/", "http://mapped.test/",
    "http://kubernetes.test/", "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/", "http://site.test:22/",
    "http://site.test:8080/", "https://site.test:80/", "http://site.test:0/", "http://user@site.test/ok",
    "http://user:pw@127.0.0.1/", "http://site.test@127.0.0.1/", "http://127.0.0.1#@site.test/",
    "http://127.0.0.1\\@site.test/", "http://site.test\\@127.0.0.1/", "http:\\\\127.0.0.1\\", "ftp://site.test/ok",
    "file:///etc/passwd", "gopher://127.0.0.1:6379/_INFO", "data:text/html,x", "javascript:1", "unix:///run/x.sock",
    "//127.0.0.1/", "/etc/passwd", "", "http://", "http:///ok", "http://site.test /ok", "http://site.test/\r\nX: y",
    "http://site.test\t/ok", "http://site.test\x00.evil/ok", "http://[::1", "http://site..test/ok",
    "http://site.test/" + "a" * 2_000, "http://*.test/", "http://%31%32%37.0.0.1/", "http://nowhere.test/",
]  # fmt: skip
NAMES = {
    "metadata.test": ["169.254.169.254"],
    "six.test": ["::1"],
    "mapped.test": ["::ffff:10.0.0.1"],
    "kubernetes.test": ["10.96.0.1"],
    "nowhere.test": [],
    "inside.test": ["10.0.0.7"],
}


async def refused(world: World, url: str, bounds: WebBounds | None = None) -> str:
    """Why an address is not fetched; "" where it is."""
    client = world.client(bounds)
    try:
        await client.fetch(url)
    except WebRefused as exc:
        return exc.reason
    except TimeoutError:
        return "timeout"
    except OSError:
        return "unreachable"
    finally:
        await client.close()
    return ""


async def test_a_public_page_is_fetched_and_the_canary_counts() -> None:
    async with web_world() as world:
        page = await world.client().fetch("http://site.test/ok")
        inside = frozenset({("127.0.0.1", 80)})
        await world.client(trusted=inside).fetch("http://127.0.0.1/")

    assert (page.status, page.media_type) == (200, "text/html") and "안녕" in page.body.decode()
    assert world.canaries == 1  # so that a 0 below means something
    assert "Host: site.test" in world.requests[0] and "cookie" not in world.requests[0].lower()


async def test_no_hostile_address_is_reached(figures: Callable[..., None]) -> None:
    async with web_world() as world:
        world.zone.names |= {name: [addresses] for name, addresses in NAMES.items()}
        answers = {url: await refused(world, url) for url in HOSTILE}

    assert [url for url, why in answers.items() if not why] == []
    assert (world.canaries, world.connected, world.requests) == (0, [], [])
    figures(hostile_addresses=len(HOSTILE), reached=world.canaries)


REBINDING: dict[str, list[list[str]]] = {
    "public, then loopback": [[PUBLIC], ["127.0.0.1"]],
    "loopback, then public": [["127.0.0.1"], [PUBLIC]],
    "public and loopback at once": [[PUBLIC, "127.0.0.1"]],
    "loopback and public at once": [["127.0.0.1", PUBLIC]],
    "a public one where nobody answers, then loopback": [[DEAD, "127.0.0.1"]],
    "public IPv4, loopback IPv6": [[PUBLIC, "::1"]],
    "public IPv4, mapped IPv6": [[PUBLIC, "::ffff:169.254.169.254"]],
    "public IPv6, private IPv4": [["2606:2800:220:1::1", "10.0.0.1"]],
    "in turn": [[PUBLIC], ["169.254.169.254"], [PUBLIC], ["10.0.0.1"], [PUBLIC], ["::1"]],
    "NAT64 of metadata": [["64:ff9b::a9fe:a9fe"], [PUBLIC]],
    "public, then 6to4": [[PUBLIC], ["2002:7f00:1::"]],
}


@pytest.mark.parametrize("case", REBINDING)
async def test_a_name_that_changes_its_answer_gains_nothing(case: str) -> None:
    async with web_world() as world:
        world.zone.names["rebind.test"] = [*REBINDING[case]]
        world.pages["/again"] = redirect("http://rebind.test/ok")
        for _ in range(4):
            await refused(world, "http://rebind.test/ok")
            await refused(world, "http://rebind.test/again")

    assert world.canaries == 0
    assert set(world.connected) <= {*world.public, DEAD}
    assert world.zone.asked["rebind.test"] >= 2  # it was asked, each time anew


REDIRECTS = [
    "http://127.0.0.1/", "http://inside.test/", "//127.0.0.1/", "http://169.254.169.254/latest/", "file:///etc/passwd",
    "http://site.test:6379/", "http://user:pw@site.test/ok", "gopher://site.test/", "http://[::ffff:10.0.0.1]/",
    "http://2130706433/", "\\\\127.0.0.1\\", "http://site.test\\@127.0.0.1/", "/loop", "data:text/html,x", "http://",
]  # fmt: skip


@pytest.mark.parametrize("location", REDIRECTS)
async def test_every_redirect_is_judged_anew(location: str) -> None:
    async with web_world() as world:
        world.zone.names["inside.test"] = [["10.0.0.7"]]
        world.pages["/loop"] = redirect("/loop", 307)
        world.pages["/go"] = redirect("/on", 301)
        world.pages["/on"] = redirect(location, 308)
        why = await refused(world, "http://site.test/go")

    assert why in ("url", "address", "redirects", "unreachable")
    assert world.canaries == 0
    assert len(world.requests) <= 4


async def test_a_redirect_to_another_public_page_is_followed_without_what_the_first_was_told() -> None:
    async with web_world() as world:
        world.pages["/go"] = redirect("http://site.test/ok")
        page = await world.client().fetch("http://site.test/go", headers={"X-Key": "k"}, body=b"secret")

    assert page.status == 200
    assert world.requests[0].startswith("POST") and "X-Key: k" in world.requests[0]
    assert world.requests[1].startswith("GET") and "X-Key" not in world.requests[1] + world.requests[1].lower()


async def endless(head: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"a" * 65536)
        await writer.drain()


async def dripping(head: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.05)


async def silent(head: str, writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        await asyncio.sleep(0.05)
        writer.write(b"")
        await writer.drain()


async def endless_head(head: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-A: " + b"a" * 8192 + b"\r\n")
        await writer.drain()


ANSWERS = {
    "endless": (endless, "too_large"),
    "dripping": (dripping, "timeout"),
    "endless head": (endless_head, "unreachable"),
    "too large": (response(200, b"a" * 70_000, "text/html"), "too_large"),
    "compressed": (response(200, gzip.compress(b"a" * 10**7), "text/html", "Content-Encoding: gzip"), "encoding"),
    "picture": (response(200, b"x", "image/png"), "media_type"),
    "nothing said of its type": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "media_type"),
    "shorter than it says": (response(200, b"x", "text/html").replace(b": 1\r", b": 9\r"), "unreachable"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy", "unreachable"),
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n\r\n", "unreachable"),
    "nothing": (b"", "unreachable"),
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_an_answer_past_a_bound_is_not_taken(case: str) -> None:
    page, why = ANSWERS[case]
    bounds = WebBounds(seconds=1.0 if why == "timeout" else 30.0, body_bytes=65_536)
    async with web_world() as world:
        world.pages["/x"] = page
        assert await refused(world, "http://site.test/x", bounds) == why


async def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with web_world() as world:
        assert (await world.client().fetch("http://site.test/ok")).status == 200
