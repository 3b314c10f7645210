"""A host for what plays pods: a network namespace of our own, joined to this machine by one cable.

No EndpointSlice may name loopback, and nothing of a test talks to an address that it did not make.
"""

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from parts.needs import left_out, need

_CLONE_NEWNET = 0x40000000  # sched.h
_PLACES = range(1, 250)


@dataclass(frozen=True)
class PodsHost:
    """A host that only this machine reaches.

    Attributes:
        name: Of its network namespace.
        address: Its own.
        near: This machine's end of the cable: where its callers come from.
    """

    name: str
    address: str
    near: str

    def bind(self) -> socket.socket:
        """A TCP socket bound there to a free port, not yet listening; it stays in the namespace it is made in."""
        with ThreadPoolExecutor(max_workers=1) as thread:  # only its one thread moves over
            return thread.submit(self._bind).result()

    def _bind(self) -> socket.socket:
        libc = ctypes.CDLL(None, use_errno=True)
        there = os.open(Path("/run/netns") / self.name, os.O_RDONLY)
        try:
            if libc.setns(there, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {self.name}")
        finally:
            os.close(there)
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.bind((self.address, 0))
        bound.setblocking(False)
        return bound


@contextmanager
def pods_host() -> Iterator[PodsHost]:
    """Make the host, and take it away with everything in it."""
    if os.geteuid() != 0:
        left_out("only root makes a network namespace; get it: run as root")
    host = _made()
    try:
        yield host
    finally:
        _ip("netns", "del", host.name)


def _made() -> PodsHost:
    for place in _PLACES:
        host = PodsHost(f"pods{place}", f"10.201.{place}.2", f"10.201.{place}.1")
        try:
            _ip("netns", "add", host.name)
        except subprocess.CalledProcessError:
            continue  # another run's
        _ip("link", "add", host.name, "type", "veth", "peer", "name", "eth0", "netns", host.name)
        _ip("addr", "add", f"{host.near}/30", "dev", host.name)
        _ip("link", "set", host.name, "up")
        _ip("-n", host.name, "addr", "add", f"{host.address}/30", "dev", "eth0")
        _ip("-n", host.name, "link", "set", "eth0", "up")
        return host
    raise AssertionError("every place for a network namespace is taken: `ip netns` lists them")


def _ip(*words: str) -> None:
    subprocess.run([need("ip", "apt-get install iproute2"), *words], check=True, capture_output=True, timeout=60)
