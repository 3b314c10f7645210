"""Which addresses may be reached: nothing inside the cluster's or the cloud's own networks unless it is allowed.

Names are resolved here, checked, and the connection goes to the very address that was checked, so a name that
answers differently the second time (DNS rebinding) gains nothing.
"""

import ipaddress
import socket
import typing
from collections.abc import Iterable
from dataclasses import dataclass

import httpcore

from chatbot_operator.download.faults import Interrupted, Reason, Refused

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be reached.

    Attributes:
        allowed_networks: Networks that are allowed although they are not public.
        allowed_hosts: Where not empty, the only host names that are asked; `.example.org` covers its subdomains.
    """

    allowed_networks: tuple[Network, ...] = ()
    allowed_hosts: tuple[str, ...] = ()

    def check_host(self, host: str) -> None:
        """Refuse a host name that is not on the list.

        Raises:
            Refused: There is a list and the name is not on it.
        """
        name = host.rstrip(".").lower()
        if self.allowed_hosts and not any(_matches(name, rule) for rule in self.allowed_hosts):
            raise Refused(Reason.NOT_ALLOWED, "The host is not on the list of allowed hosts; ask the operator's owner.")

    def check_address(self, text: str) -> None:
        """Refuse an IP address that is private, link-local, loopback, multicast or otherwise not public.

        Raises:
            Refused: It is, and no allowed network holds it.
        """
        address = _unwrapped(ipaddress.ip_address(text))
        if any(address in network for network in self.allowed_networks if network.version == address.version):
            return
        if not address.is_global or address.is_multicast:
            raise Refused(
                Reason.NOT_ALLOWED,
                "The host's address is private, link-local or otherwise not public; allow its network in the operator.",
            )


def _matches(name: str, rule: str) -> bool:
    rule = rule.lower()
    return name.endswith(rule) if rule.startswith(".") else name == rule


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one (mapped, 6to4, NAT64), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in ipaddress.IPv6Network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


class GuardedBackend(httpcore.NetworkBackend):
    """Opens connections only to addresses that `reach` allows."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[typing.Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, check every address, connect to the first that answers.

        Raises:
            Refused: An address of the name is not allowed.
            Interrupted: The name does not resolve.
        """
        self._reach.check_host(host)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as exc:
            raise Interrupted(
                Reason.UNREACHABLE, "The host's name does not resolve; check the address and DNS."
            ) from exc
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            self._reach.check_address(address)
        return self._first_that_answers(addresses, port, timeout)

    def _first_that_answers(self, addresses: list[str], port: int, timeout: float | None) -> httpcore.NetworkStream:
        failure: Exception | None = None
        for address in addresses:
            try:
                return self._backend.connect_tcp(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
        raise failure or httpcore.ConnectError("no address")
