"""What may be offered to a target as another protocol, and by which method."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from edge.upgrades import may_switch_by, offered_protocols


def offered(offers: str, connection: str = "Upgrade", version: tuple[int, int] = (1, 1)) -> list[str]:
    return list(offered_protocols(CIMultiDict([("Upgrade", offers), ("Connection", connection)]), version))


def test_protocols_are_offered_in_their_order_and_in_lower_case() -> None:
    assert offered("WebSocket,\t Chat/2 \t, ,x", "close \t,\t UPGRADE ,") == ["websocket", "chat/2", "x"]
    assert offered("chat", "close") == []
    assert offered("chat", version=(1, 0)) == []


@pytest.mark.parametrize(
    "offer",
    [
        *(
            "h2c;",
            "h2c/",
            '"h2c"',
            "h2c x",
            "HTTP /2",
            "HTTP/ 2",
            "chat;x",
            "a b",
            "/1",
            "chat/1/2",
            "\xe9",
            '"websocket"',
        ),
        "websoc\u212aet",  # which is "websocket" in lower case
    ],
)
def test_what_is_no_protocols_name_is_not_offered(offer: str) -> None:
    assert offered(f"{offer}, chat") == ["chat"]


@pytest.mark.parametrize(
    "offer",
    ["h2", "H2C", "h2c/1", "h2c-14", "h3", "h3-29", "http", "HTTP/2.0", "hTTp/3", "https", "HTTP2", "tls", "TLS/1.0"],
)
def test_another_version_of_http_is_not_offered_however_it_is_spelt(offer: str) -> None:
    assert offered(f"{offer}, chat") == ["chat"]


@pytest.mark.parametrize("blank", ["\xa0", "\x85", "\u2028", "\u3000", "\x1c", "\x0b"])
def test_only_spaces_and_tabs_are_blanks(blank: str) -> None:
    assert offered("chat", f"{blank}upgrade") == offered("chat", f"close,upgrade{blank}") == []
    assert offered(f"{blank}websocket, chat") == ["chat"]


@pytest.mark.parametrize(
    ("method", "protocol", "may"),
    [
        ("GET", "websocket", True),
        ("POST", "websocket", False),
        ("HEAD", "websocket", False),
        ("POST", "websocket/13", False),
        ("POST", "chat", True),
        ("POST", "websockets", True),
    ],
)
def test_only_a_get_becomes_a_websocket(method: str, protocol: str, may: bool) -> None:
    assert may_switch_by(method, protocol) is may
