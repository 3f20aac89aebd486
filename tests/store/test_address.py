"""store/address.py: the five kinds of Redis URL."""

from __future__ import annotations

import pytest

from store.address import RedisAddress, parse_redis_url
from store.errors import BadRedisUrl


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache", RedisAddress("single", (("cache", 6379),))),
        ("redis://127.0.0.1:7000/3", RedisAddress("single", (("127.0.0.1", 7000),), db=3)),
        ("redis://cache?db=4", RedisAddress("single", (("cache", 6379),), db=4)),
        ("redis://[::1]:7000/0", RedisAddress("single", (("::1", 7000),))),
        ("redis://:p%40ss@cache", RedisAddress("single", (("cache", 6379),), password="p@ss")),
        ("redis://edge:a:b@cache", RedisAddress("single", (("cache", 6379),), username="edge", password="a:b")),
        (
            "rediss://cache?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=false",
            RedisAddress(
                "single",
                (("cache", 6379),),
                tls=True,
                tls_options=(("ssl_ca_certs", "/etc/ca.pem"), ("ssl_check_hostname", False)),
            ),
        ),
        ("unix:///run/redis.sock", RedisAddress("unix", path="/run/redis.sock")),
        (
            "unix://edge@/run/redis.sock?db=2&password=x",
            RedisAddress("unix", path="/run/redis.sock", db=2, username="edge", password="x"),
        ),
        (
            "redis+sentinel://:pw@one:1,two,[::2]:3/main/5?sentinel_password=sp",
            RedisAddress(
                "sentinel",
                (("one", 1), ("two", 26379), ("::2", 3)),
                service="main",
                db=5,
                password="pw",
                sentinel_password="sp",
            ),
        ),
        ("redis+cluster://one,two:7001", RedisAddress("cluster", (("one", 6379), ("two", 7001)))),
        ("rediss+cluster://one", RedisAddress("cluster", (("one", 6379),), tls=True)),
    ],
)
def test_every_kind_of_url_is_read(url: str, expected: RedisAddress) -> None:
    assert parse_redis_url(url) == expected


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must begin with"),
        ("localhost:6379", "must begin with"),
        ("http://hunter2", "must begin with"),
        ("redis://", "names no host"),
        ("redis://:hunter2@", "names no host"),
        ("redis://[hunter2", "malformed"),
        ("redis://cache:hunter2", "port must be a number"),
        ("redis://cache:70000", "port must be a number"),
        ("redis://cache:0", "port must be a number"),
        ("redis://:hun/hunter2@cache", "quote a '/' in a password"),
        ("redis://cache/hunter2", "database must be a number"),
        ("redis://cache/0/hunter2", "too many parts"),
        ("redis://:hun#hunter2@cache", "%23"),
        ("redis://cache?hunter2=1", "option it cannot take"),
        ("redis://cache?ssl_ca_certs=/hunter2", "option it cannot take"),
        ("redis://one,hunter2", "names one host"),
        ("rediss://cache?ssl_cert_reqs=hunter2", "ssl_cert_reqs"),
        ("rediss://cache?ssl_check_hostname=hunter2", "ssl_check_hostname"),
        ("unix://hunter2", "absolute path"),
        ("redis+sentinel://one,hunter2", "service's name"),
        ("redis+cluster://one/3", "database 0 only"),
    ],
)
def test_a_bad_url_is_one_clear_line_that_repeats_nothing_of_it(url: str, words: str) -> None:
    with pytest.raises(BadRedisUrl) as caught:
        parse_redis_url(url)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:hunter2@cache:1/2", "redis://cache:1"),
        ("rediss+sentinel://:hunter2@a,b/main?sentinel_password=hunter2", "rediss+sentinel://a:26379,b:26379/main"),
        ("redis+cluster://:hunter2@[::1]", "redis+cluster://[::1]:6379"),
        ("unix:///run/r.sock?password=hunter2", "unix:///run/r.sock"),
    ],
)
def test_an_address_can_be_shown_without_its_password(url: str, shown: str) -> None:
    address = parse_redis_url(url)
    assert str(address) == shown
    assert "hunter2" not in repr(address)
