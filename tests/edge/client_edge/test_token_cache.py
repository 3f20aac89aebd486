"""Good tokens that are remembered: by whom, how many, and whose go first."""

from __future__ import annotations

from edge.client_edge.token_cache import Remembered, TokenCache
from edge.context import Identity


def token(size_bytes: int = 10) -> Remembered:
    return Remembered(Identity("u"), 0.0, 1.0, b"key", size_bytes)


def test_a_token_is_known_to_its_tenant_alone() -> None:
    cache, found = TokenCache(), token()
    cache.put("acme", b"1", found)
    assert cache.get("acme", b"1") is found
    assert cache.get("other", b"1") is None
    assert cache.get("acme", b"2") is None


def test_a_tenant_over_its_share_forgets_what_it_has_not_used_the_longest() -> None:
    cache = TokenCache(max_bytes=160)  # a tenant's share is 40
    for name in (b"1", b"2", b"3", b"4"):
        cache.put("acme", name, token())
    cache.get("acme", b"1")
    cache.put("acme", b"5", token())
    assert [name for name in (b"1", b"2", b"3", b"4", b"5") if cache.get("acme", name)] == [b"1", b"3", b"4", b"5"]
    assert cache.bytes == 40


def test_no_tenant_pushes_out_all_that_others_have() -> None:
    cache = TokenCache(max_bytes=160)
    cache.put("quiet", b"1", token())
    for at in range(1000):
        cache.put("loud", str(at).encode(), token())
    assert cache.get("quiet", b"1")
    assert cache.bytes == 50


def test_what_all_tenants_have_is_bounded_and_the_idlest_tenant_gives_way() -> None:
    cache = TokenCache(max_bytes=160)
    for tenant in "abcd":
        for at in range(4):
            cache.put(tenant, str(at).encode(), token())
    cache.get("a", b"0")
    cache.put("e", b"0", token())
    assert (cache.bytes, len(cache)) == (160, 16)
    assert cache.get("b", b"0") is None
    assert cache.get("a", b"0")
    assert cache.get("e", b"0")


def test_a_token_that_is_put_again_counts_once() -> None:
    cache = TokenCache()
    for size_bytes in (10, 30, 20):
        cache.put("acme", b"1", token(size_bytes))
    assert (cache.bytes, len(cache)) == (20, 1)


def test_a_token_that_would_take_a_whole_share_is_not_kept() -> None:
    cache = TokenCache(max_bytes=160)
    cache.put("acme", b"1", token(41))
    assert (cache.bytes, len(cache)) == (0, 0)
