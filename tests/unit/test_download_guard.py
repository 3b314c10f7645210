"""Addresses that a download may not reach."""

import ipaddress

import pytest
from chatbot_operator.download.faults import Refused
from chatbot_operator.download.guard import Reach


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104 - an address to refuse, not to listen on
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:7f00:1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a00:1::",
    ],
)
def test_refuses_an_address_that_is_not_public(address: str) -> None:
    with pytest.raises(Refused):
        Reach().check_address(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_address_passes(address: str) -> None:
    Reach().check_address(address)


def test_allowed_network_passes_and_its_neighbour_does_not() -> None:
    reach = Reach(allowed_networks=(ipaddress.ip_network("10.1.0.0/16"),))

    reach.check_address("10.1.2.3")
    reach.check_address("::ffff:10.1.2.3")
    with pytest.raises(Refused):
        reach.check_address("10.2.0.1")


@pytest.mark.parametrize(
    ("host", "passes"),
    [
        ("models.example.org", True),
        ("a.example.net", True),
        ("A.EXAMPLE.NET.", True),
        ("example.net", False),
        ("evil-models.example.org", False),
        ("models.example.org.evil.test", False),
    ],
)
def test_host_list_names_all_that_is_asked(host: str, passes: bool) -> None:
    reach = Reach(allowed_hosts=("models.example.org", ".example.net"))

    if passes:
        reach.check_host(host)
    else:
        with pytest.raises(Refused):
            reach.check_host(host)
