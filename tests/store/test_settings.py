from __future__ import annotations

import argparse
import base64
from collections import Counter
from dataclasses import fields
from ipaddress import ip_network

import pytest

from store.setting_values import Address
from store.settings import SETTINGS, Plane, Settings, SettingsError, add_flags, describe_settings, load_settings

LONG_TOKEN = "a-token-of-more-than-24-characters"


def test_a_flag_beats_the_environment_and_the_environment_beats_the_default() -> None:
    env = {"PORTICO_WORKERS": "3", "PORTICO_DRAIN_GRACE": "5s"}
    settings = load_settings("edge", {"workers": "4"}, env)
    assert (settings.workers, settings.drain_grace_s, settings.head_timeout_s) == (4, 5.0, 10.0)


def test_a_flag_of_none_and_an_empty_variable_count_as_not_given() -> None:
    settings = load_settings("edge", {"drain_grace_s": None}, {"PORTICO_DRAIN_GRACE": ""})
    assert settings.drain_grace_s == 30.0


def test_every_fault_is_listed_at_once_with_the_name_that_was_used() -> None:
    env = {"PORTICO_WORKERS": "none", "PORTICO_EGRESS_ALLOW": "10.0.0.1/8", "PORTICO_REDIS_URL": "http://x"}
    with pytest.raises(SettingsError) as caught:
        load_settings("edge", {"ops": "nowhere", "control_listen": "127.0.0.1:1"}, env)
    faults = caught.value.faults
    assert len(faults) == 5
    for start in ("PORTICO_WORKERS: expected", "--ops: expected HOST:PORT", "PORTICO_EGRESS_ALLOW: expected"):
        assert any(fault.startswith(start) for fault in faults), faults
    assert any(fault.startswith("PORTICO_REDIS_URL: expected a URL") for fault in faults)
    assert "control_listen is not a setting of the edge plane" in faults
    assert "\n" not in str(caught.value)


def test_a_plane_is_not_held_up_by_another_planes_settings() -> None:
    settings = load_settings("cli", {}, {"PORTICO_WORKERS": "nonsense", "PORTICO_ADMIN_URL": "http://a:1/"})
    assert settings.admin_url == "http://a:1"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("listen", "127.0.0.1:80", (Address("127.0.0.1", 80),)),
        ("listen", "[::1]:0, 0.0.0.0:8080", (Address("::1", 0), Address("0.0.0.0", 8080))),
        ("drain_grace_s", "1ms", 0.001),
        ("drain_grace_s", "1.5m", 90.0),
        ("head_timeout_s", "500ms", 0.5),
        ("max_head_bytes", "64KiB", 65536),
        ("max_head_bytes", "1024", 1024),
        ("egress_allow", "127.0.0.0/8, ::1", (ip_network("127.0.0.0/8"), ip_network("::1/128"))),
        ("trusted_proxies", "", ()),
        ("node", "edge-1.eu_west", "edge-1.eu_west"),
        ("access_log", "off", "off"),
    ],
)
def test_what_an_operator_types_is_read(name: str, text: str, value: object) -> None:
    assert getattr(load_settings("edge", {name: text}, {}), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("listen", "8080"),
        ("listen", "127.0.0.1:65536"),
        ("listen", "::1:80"),
        ("listen", "127.0.0.1:80,127.0.0.1:80"),
        ("workers", "0"),
        ("workers", "-1"),
        ("workers", "1025"),
        ("workers", "2.0"),
        ("workers", "\N{ARABIC-INDIC DIGIT TWO}"),
        ("drain_grace_s", "30"),
        ("drain_grace_s", "0s"),
        ("drain_grace_s", "2h"),
        ("drain_grace_s", "-1s"),
        ("max_head_bytes", "1K"),
        ("max_head_bytes", "1GiB"),
        ("egress_allow", "localhost"),
        ("node", "a/b"),
        ("access_log", "a\nb"),
        ("redis_url", "127.0.0.1:6379"),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, text: str) -> None:
    with pytest.raises(SettingsError):
        load_settings("edge", {name: text}, {})


def test_a_repeated_flag_and_a_number_are_read_like_their_text() -> None:
    settings = load_settings("edge", {"listen": ["127.0.0.1:1", "127.0.0.1:2"], "workers": 2}, {})
    assert settings.listen == (Address("127.0.0.1", 1), Address("127.0.0.1", 2))
    assert settings.workers == 2


def test_workers_and_node_have_defaults_taken_from_the_machine() -> None:
    settings = load_settings("edge", {}, {})
    assert settings.workers >= 1
    assert settings.node


def test_a_short_bootstrap_token_is_refused_without_being_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings("control", {}, {"PORTICO_BOOTSTRAP_TOKEN": "hunter2"})
    assert "24 characters" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert load_settings("control", {}, {"PORTICO_BOOTSTRAP_TOKEN": LONG_TOKEN}).bootstrap_token == LONG_TOKEN


def test_no_secret_is_ever_shown() -> None:
    env = {
        "PORTICO_TOKEN": "pt_secret",
        "PORTICO_BOOTSTRAP_TOKEN": LONG_TOKEN,
        "PORTICO_REDIS_URL": "redis://me:p@ss:w/rd@redis.example:6379/0?password=other&db=1",
        "PORTICO_DEV_REDIS_URL": "redis+sentinel://h1:1,h2:2/main?sentinel_password=third",
    }
    rows = {row.setting.env: row for row in describe_settings(env)}
    assert rows["PORTICO_TOKEN"].shown == rows["PORTICO_BOOTSTRAP_TOKEN"].shown == "(set)"
    assert rows["PORTICO_REDIS_URL"].shown == "redis://***@redis.example:6379/0?password=***&db=1"
    assert rows["PORTICO_DEV_REDIS_URL"].shown == "redis+sentinel://h1:1,h2:2/main?sentinel_password=***"
    assert {row.shown for row in describe_settings({}) if row.setting.is_secret} == {"(not set)"}


def test_every_setting_is_shown_with_its_source() -> None:
    rows = {row.setting.name: row for row in describe_settings({"PORTICO_WORKERS": "7"})}
    assert len(rows) == len(SETTINGS) == len(fields(Settings))
    assert (rows["workers"].shown, rows["workers"].source) == ("7", "environment")
    assert (rows["ops"].shown, rows["ops"].source) == ("127.0.0.1:8082", "default")


def test_names_do_not_collide_and_secrets_have_no_flag() -> None:
    assert max(Counter(setting.env for setting in SETTINGS).values()) == 1
    per_plane = Counter((plane, s.flag) for s in SETTINGS for plane in s.planes if s.flag)
    assert max(per_plane.values()) == 1
    assert all(setting.flag is None for setting in SETTINGS if setting.is_secret)


def test_a_parsers_flags_are_read_by_the_same_table() -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, "edge")
    parsed = parser.parse_args(["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2", "--workers", "2"])
    settings = load_settings("edge", vars(parsed), {})
    assert (len(settings.listen), settings.workers) == (2, 2)
    assert "PORTICO_DRAIN_GRACE" in parser.format_help()


KEY, OTHER = base64.b64encode(b"k" * 32).decode(), base64.urlsafe_b64encode(b"\xff" * 32).decode()


@pytest.mark.parametrize("plane", ["edge", "control", "dev"])
def test_a_secret_key_is_read_and_a_second_one_while_it_is_replaced(plane: Plane) -> None:
    def read(text: str) -> tuple[bytes, ...]:
        return load_settings(plane, {}, {"PORTICO_SECRET_KEY": text}).secret_keys

    assert read("") == ()
    assert read(KEY) == (b"k" * 32,)
    assert read(f"{OTHER}, {KEY}") == (b"\xff" * 32, b"k" * 32)


@pytest.mark.parametrize("text", ["hunter2", KEY[:-4], f"{KEY},", f"{KEY},{KEY},{KEY}", "é" * 44, KEY + "AAAA"])
def test_what_is_no_secret_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings("edge", {}, {"PORTICO_SECRET_KEY": text})
    assert text not in str(caught.value)


def test_a_provider_is_named_whole_or_not_at_all() -> None:
    alone = {"PORTICO_OIDC_ISSUER": "https://id.test/"}
    with pytest.raises(SettingsError, match="PORTICO_OIDC_CLIENT_ID: expected one along with PORTICO_OIDC_ISSUER"):
        load_settings("edge", {}, alone)
    settings = load_settings("edge", {"oidc_client_id": "me"}, alone)
    assert (settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret) == (
        "https://id.test/",
        "me",
        "",
    )
    with pytest.raises(SettingsError, match="PORTICO_OIDC_ISSUER: expected https"):
        load_settings("edge", {"oidc_client_id": "me"}, {"PORTICO_OIDC_ISSUER": "http://id.test/"})
