"""Which addresses are called: nobody can make the service call what only it can reach."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from tunesmith.serve.errors import ApiError
from tunesmith.serve.settings import Reach, Settings
from tunesmith.serve.webhooks.address import Unreachable, parse, resolve

INSIDE = (
    "10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1", "[fc00::1]", "[::ffff:10.0.0.1]",
)  # fmt: skip
NOWHERE = (
    "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "[fe80::1]", "[ff02::1]", "[::]",
    "[64:ff9b::a00:1]", "[2002:a00:1::]", "[2001:0:a00:1::]", "[::ffff:169.254.169.254]",
)  # fmt: skip
HERE = ("127.0.0.1", "127.8.8.8", "[::1]", "[::ffff:127.0.0.1]", "localhost")


def accepts(url: str, reach: Reach) -> bool:
    try:
        resolve(parse(url, reach), reach)
    except (ApiError, Unreachable):
        return False
    return True


@pytest.mark.parametrize("host", [*INSIDE, *NOWHERE, *HERE])
def test_from_the_internet_only_the_internet_is_reached(host: str) -> None:
    assert not accepts(f"https://{host}/", "public")
    assert not accepts(f"http://{host}/", "public")


def test_nothing_else_is_reached_unless_the_operator_says_so(tmp_path: Path) -> None:
    """Also where it listens on loopback: behind a proxy its clients are everywhere."""
    assert Settings(home=tmp_path, host="127.0.0.1").webhook_reach == "public"


@pytest.mark.parametrize("host", HERE)
def test_its_own_machine_is_reached_where_the_operator_allows_it(host: str) -> None:
    assert accepts(f"http://{host}:9/", "loopback")
    assert accepts(f"https://{host}:9/", "private")


@pytest.mark.parametrize("host", INSIDE)
def test_its_networks_are_reached_where_the_operator_allows_it(host: str) -> None:
    assert not accepts(f"https://{host}/", "loopback")
    assert accepts(f"http://{host}/", "private")


@pytest.mark.parametrize("host", NOWHERE)
def test_what_is_no_ones_address_is_never_called(host: str) -> None:
    assert not accepts(f"https://{host}/", "private")


def test_of_the_internet_only_what_is_encrypted() -> None:
    assert accepts("https://93.184.215.14/hook", "public")
    assert not accepts("http://93.184.215.14/hook", "private")
    with pytest.raises(ApiError, match="leads where this service does not call"):
        parse("http://example.com/", "loopback")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/", "file:///etc/passwd", "https://", "https:///path", "https://a b/",
        "https://a.example/\r\nHost: b", "https://user:word@a.example/", "https://a.example/#f",
        "https://a.example:99999/", "https://[::1", "https://é.example/", "//a.example", "",
    ],
)  # fmt: skip
def test_what_is_no_such_url_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ApiError, match=r"The URL of the webhook .*\.") as refused:
        parse(url, "private")
    assert (refused.value.status, refused.value.param) == (400, "url")


def test_a_name_that_means_an_inner_address_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where another of its addresses is fine."""

    def answer(*_: Any, **__: Any) -> list[Any]:
        places = [("93.184.215.14", 443), ("10.0.0.1", 443)]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with pytest.raises(Unreachable, match="does not call"):
        resolve(parse("https://rebinding.example/", "public"), "public")
