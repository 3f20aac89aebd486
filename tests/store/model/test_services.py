"""store/model/services.py: where a service may be, and no spelling of a host that hides which one it is."""

from __future__ import annotations

import pytest

from store.model import DocumentError, parse_document
from store.model.services import check_service_url
from tests.fakes.places import ODD_SPELLINGS, WAYS, naming


@pytest.mark.parametrize(
    "url",
    [
        "https://id.acme.com/realms/a?b=c", "https://localhost.:8443/", "http://localhost:8080/", "http://10.0.0.5/",
        "http://[fd00::1]:80/", "http://[::ffff:10.0.0.5]/",
    ],
)  # fmt: skip
def test_a_service_is_asked_by_https_or_by_its_address_or_on_this_machine(url: str) -> None:
    assert check_service_url(url) == url


@pytest.mark.parametrize(
    "url", ["http://id.acme.com/", "http://localhost.:80/", "http://a.localhost/", "http://1a.test/"]
)
def test_a_name_in_the_clear_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected https"):
        check_service_url(url)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("host", "why"), ODD_SPELLINGS.items())
def test_an_address_in_another_spelling_is_refused_in_each_way_to_name_it(way: str, host: str, why: str) -> None:
    parse_document(naming(way, "https://id.test:8443", "acme"))
    with pytest.raises(DocumentError, match=why):
        parse_document(naming(way, f"https://{host}:8443", "acme"))
