from __future__ import annotations

import pytest

from edge.addresses import subscriber_of


@pytest.mark.parametrize(
    ("address", "subscriber"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
    ],
)
def test_an_address_counts_for_its_subscriber(address: str, subscriber: str) -> None:
    assert subscriber_of(address) == subscriber


def test_what_is_no_address_is_nobodys() -> None:
    with pytest.raises(ValueError, match="nobody"):
        subscriber_of("nobody")
