"""Every setting of every plane, once: a flag, else the environment, else the default.

`Settings` is the table: each field says its variable, its flag, its default as an operator would type it, how
it is read, which planes it concerns and what it does. `load_settings` reads one plane's part and names every
fault at once; `describe_settings` is what `portico settings` shows. Secrets have no flag, because every user
of a machine can read its command lines, and are never shown.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from store.setting_values import (
    Address,
    Network,
    Place,
    read_address,
    read_addresses,
    read_bootstrap_token,
    read_bytes,
    read_http_url,
    read_issuer,
    read_networks,
    read_node_name,
    read_optional_redis_url,
    read_places,
    read_redis_url,
    read_seconds,
    read_secret_keys,
    read_some_addresses,
    read_text,
    read_token,
    read_whole,
    read_worker_count,
)

Plane = Literal["edge", "control", "cli", "dev"]
Source = Literal["flag", "environment", "default"]
Flag = str | int | Sequence[str] | None


class SettingsError(Exception):
    """One or more settings cannot be used; `faults` has a line for each, and none of them holds a value."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. `read` turns text into the value, or raises ValueError with what is wrong."""

    name: str
    env: str
    flag: str | None
    default: str
    unit: str
    planes: frozenset[Plane]
    help: str
    read: Callable[[str], object]
    is_secret: bool
    is_repeatable: bool


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of `portico settings`: the value as an operator may see it, and where it came from."""

    setting: Setting
    shown: str
    source: Source


def _setting(planes: str, env: str, flag: str | None, default: str, unit: str, **rest: Any) -> Any:
    named = {"planes": frozenset(planes.split()), "env": env, "flag": flag, "default": default, "unit": unit}
    return field(metadata={"is_secret": False, "is_repeatable": False, **named, **rest})


# fmt: off
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process; those of the other planes have their defaults."""

    redis_url: str = _setting(
        "edge control", "PORTICO_REDIS_URL", "--redis", "redis://127.0.0.1:6379/0", "URL",
        read=read_redis_url,
        help="the Redis of configuration and counters: redis, rediss, unix, redis+sentinel or redis+cluster")
    listen: tuple[Address, ...] = _setting(
        "edge", "PORTICO_LISTEN", "--listen", "127.0.0.1:8080", "HOST:PORT", read=read_addresses,
        is_repeatable=True, help="where clients connect by HTTP; several, separated by commas")
    listen_tls: tuple[Address, ...] = _setting(
        "edge", "PORTICO_LISTEN_TLS", "--listen-tls", "", "HOST:PORT", read=read_some_addresses,
        is_repeatable=True, help="where clients connect by HTTPS; several, separated by commas")
    tls_cert: str = _setting(
        "edge", "PORTICO_TLS_CERT", "--tls-cert", "", "file", read=read_text,
        help="the certificate for HTTPS, PEM, with those between it and its authority; read anew by SIGHUP")
    tls_key: str = _setting(
        "edge", "PORTICO_TLS_KEY", "--tls-key", "", "file", read=read_text,
        help="the certificate's private key, PEM, not encrypted")
    handshake_timeout_s: float = _setting(
        "edge", "PORTICO_HANDSHAKE_TIMEOUT", "--handshake-timeout", "10s", "duration", read=read_seconds(0.1, 600),
        help="how long a client may take to shake hands by TLS before it is cut off")
    ops: Address = _setting(  # noqa: RUF009 - the table
        "edge", "PORTICO_OPS", "--ops", "127.0.0.1:8082", "HOST:PORT", read=read_address,
        help="where /livez, /readyz, /metrics and /status answer; keep it off the public network")
    workers: int = _setting(
        "edge", "PORTICO_WORKERS", "--workers", "cpus", "processes", read=read_worker_count,
        help="worker processes of the node; 'cpus' is one for each processor")
    node: str = _setting(
        "edge", "PORTICO_NODE", "--node", "", "name", read=read_node_name,
        help="the node's name in `portico nodes`; the machine's when not given")
    drain_grace_s: float = _setting(
        "edge", "PORTICO_DRAIN_GRACE", "--drain-grace", "30s", "duration", read=read_seconds(0.001, 3600),
        help="how long requests may finish after SIGTERM")
    head_timeout_s: float = _setting(
        "edge", "PORTICO_HEAD_TIMEOUT", "--head-timeout", "10s", "duration", read=read_seconds(0.1, 600),
        help="from connecting, or a request's first byte, to the end of its head; then 408")
    keepalive_timeout_s: float = _setting(
        "edge", "PORTICO_KEEPALIVE_TIMEOUT", "--keepalive-timeout", "75s", "duration",
        read=read_seconds(0.1, 3600), help="how long a client's connection may stay idle between requests")
    body_timeout_s: float = _setting(
        "edge", "PORTICO_BODY_TIMEOUT", "--body-timeout", "30s", "duration", read=read_seconds(0.1, 3600),
        help="the longest wait for the next bytes of a request's body; then 408")
    body_min_rate: int = _setting(
        "edge", "PORTICO_BODY_MIN_RATE", "--body-min-rate", "512", "bytes/s", read=read_bytes(0, 1 << 20),
        help="what a request's body comes to a second, all in all; below it 408; 0 for none")
    body_grace_s: float = _setting(
        "edge", "PORTICO_BODY_GRACE", "--body-grace", "10s", "duration", read=read_seconds(0.1, 3600),
        help="how long after a body's first byte that is not asked of it")
    write_timeout_s: float = _setting(
        "edge", "PORTICO_WRITE_TIMEOUT", "--write-timeout", "30s", "duration", read=read_seconds(0.1, 3600),
        help="how long a client may take no byte of its answer before it is cut off")
    max_head_bytes: int = _setting(
        "edge", "PORTICO_MAX_HEAD", "--max-head", "32KiB", "size", read=read_bytes(1 << 10, 1 << 20),
        help="the largest request head, line and fields together; above it, or with a field above 8,190 bytes, 431")
    max_fields: int = _setting(
        "edge", "PORTICO_MAX_FIELDS", "--max-fields", "100", "fields", read=read_whole(8, 1000),
        help="the most header fields of a request; above it 431")
    max_target_bytes: int = _setting(
        "edge", "PORTICO_MAX_TARGET", "--max-target", "8KiB", "size", read=read_bytes(256, 1 << 16),
        help="the longest request target, its path and query; above it 414")
    max_pipelined: int = _setting(
        "edge", "PORTICO_MAX_PIPELINED", "--max-pipelined", "32", "requests", read=read_whole(1, 1000),
        help="requests that are read ahead on a connection; more are not read until these are answered")
    max_connections: int = _setting(
        "edge", "PORTICO_MAX_CONNECTIONS", "--max-connections", "10000", "connections",
        read=read_whole(1, 1_000_000), help="client connections of one worker; more are closed at once")
    max_per_address: int = _setting(
        "edge", "PORTICO_MAX_PER_ADDRESS", "--max-per-address", "8000", "connections", read=read_whole(1, 1_000_000),
        help="those of one address (IPv6: of one /64) that is no trusted proxy; more are closed at once")
    max_per_tenant: int = _setting(
        "edge", "PORTICO_MAX_PER_TENANT", "--max-per-tenant", "8000", "connections", read=read_whole(1, 1_000_000),
        help="those that were last used for one tenant; requests on more get 503")
    egress_allow: tuple[Network, ...] = _setting(
        "edge", "PORTICO_EGRESS_ALLOW", "--egress-allow", "", "CIDRs", read=read_networks,
        help="networks that tenants' upstreams may be in although they are private")
    egress_deny: tuple[Place, ...] = _setting(
        "edge", "PORTICO_EGRESS_DENY", "--egress-deny", "", "CIDRs or ADDRESS:PORT", read=read_places,
        help="what of those stays closed all the same, such as the admin API; an edge's own listeners and Redis are")
    trusted_proxies: tuple[Network, ...] = _setting(
        "edge", "PORTICO_TRUSTED_PROXIES", "--trusted-proxies", "", "CIDRs", read=read_networks,
        help="networks whose forwarding headers are believed")
    access_log: str = _setting(
        "edge", "PORTICO_ACCESS_LOG", "--access-log", "-", "file", read=read_text,
        help="where each request's JSON line goes: '-' is standard output, 'off' is nowhere, else a file")
    secret_keys: tuple[bytes, ...] = _setting(
        "edge control dev", "PORTICO_SECRET_KEY", None, "", "key", read=read_secret_keys, is_secret=True,
        help="what sessions and tenants' secrets are encrypted by, the same everywhere: 32 bytes in base64; while it "
        "is replaced NEW,OLD")
    oidc_issuer: str = _setting(
        "edge", "PORTICO_OIDC_ISSUER", "--oidc-issuer", "", "URL", read=read_issuer,
        help="the operator's OpenID provider, where browsers log in for tenants that name none")
    oidc_client_id: str = _setting(
        "edge", "PORTICO_OIDC_CLIENT_ID", "--oidc-client-id", "", "name", read=read_text,
        help="what that provider knows Portico by")
    oidc_client_secret: str = _setting(
        "edge", "PORTICO_OIDC_CLIENT_SECRET", None, "", "secret", read=read_text, is_secret=True,
        help="and how it is sure; none for a public client")
    control_listen: Address = _setting(  # noqa: RUF009 - the table
        "control", "PORTICO_CONTROL_LISTEN", "--listen", "127.0.0.1:8081", "HOST:PORT", read=read_address,
        help="where the admin API answers")
    min_replicas: int = _setting(
        "control", "PORTICO_MIN_REPLICAS", "--min-replicas", "0", "replicas", read=read_whole(0, 16),
        help="how many Redis replicas must have a write for it to be called durable; 0 asks none")
    bootstrap_token: str = _setting(
        "control dev", "PORTICO_BOOTSTRAP_TOKEN", None, "", "token",
        read=read_bootstrap_token, is_secret=True,
        help="an operator token that exists from the start, at least 24 characters")
    admin_url: str = _setting(
        "cli", "PORTICO_ADMIN_URL", "--admin-url", "http://127.0.0.1:8081", "URL", read=read_http_url,
        help="the admin API that the commands talk to")
    token: str = _setting(
        "cli", "PORTICO_TOKEN", None, "", "token", read=read_token, is_secret=True,
        help="the operator or tenant token that the commands show")
    dev_port: int = _setting(
        "dev", "PORTICO_DEV_PORT", "--port", "8080", "port", read=read_whole(0, 65535),
        help="`portico dev`: the edge's port on 127.0.0.1")
    dev_admin_port: int = _setting(
        "dev", "PORTICO_DEV_ADMIN_PORT", "--admin-port", "8081", "port", read=read_whole(0, 65535),
        help="`portico dev`: the admin API's port on 127.0.0.1")
    dev_ops_port: int = _setting(
        "dev", "PORTICO_DEV_OPS_PORT", "--ops-port", "8082", "port", read=read_whole(0, 65535),
        help="`portico dev`: the ops listener's port on 127.0.0.1")
    dev_origin_port: int = _setting(
        "dev", "PORTICO_DEV_ORIGIN_PORT", "--origin-port", "9000", "port", read=read_whole(0, 65535),
        help="`portico dev`: the sample upstream's port on 127.0.0.1")
    dev_workers: int = _setting(
        "dev", "PORTICO_DEV_WORKERS", "--workers", "2", "processes", read=read_worker_count,
        help="`portico dev`: worker processes of the edge")
    dev_redis_url: str = _setting(
        "dev", "PORTICO_DEV_REDIS_URL", "--redis", "", "URL", read=read_optional_redis_url,
        help="`portico dev`: a Redis to use instead of an embedded one")
# fmt: on


SETTINGS: tuple[Setting, ...] = tuple(Setting(name=row.name, **row.metadata) for row in fields(Settings))


def load_settings(plane: Plane, flags: Mapping[str, Flag], env: Mapping[str, str]) -> Settings:
    """Read one plane's settings; `flags` has what was typed, by the setting's name (None: not typed).

    A variable set to nothing counts as not set. Raises SettingsError naming every fault, not only the first.
    """
    faults = [f"{name} is not a setting of the {plane} plane" for name in _strangers(plane, flags)]
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text, source = _text_of(setting, plane, flags, env)
        try:
            values[setting.name] = setting.read(text)
        except ValueError as error:
            faults.append(f"{setting.flag if source == 'flag' else setting.env}: {error}")
    if values.get("listen_tls") and not (values.get("tls_cert") and values.get("tls_key")):
        faults.append("--listen-tls: needs a certificate and its key, --tls-cert and --tls-key")
    if values.get("oidc_issuer") and not values.get("oidc_client_id", "?"):
        faults.append("PORTICO_OIDC_CLIENT_ID: expected one along with PORTICO_OIDC_ISSUER")
    if faults:
        raise SettingsError(faults)
    return Settings(**values)


def describe_settings(env: Mapping[str, str]) -> tuple[SettingRow, ...]:
    """Every setting of every plane as this environment sets it; no secret and no password is shown."""
    rows = []
    for setting in SETTINGS:
        text, source = _text_of(setting, None, {}, env)
        rows.append(SettingRow(setting, _shown(setting, text), source))
    return tuple(rows)


def add_flags(parser: argparse.ArgumentParser, plane: Plane) -> None:
    """Give a parser the plane's flags; `load_settings(plane, vars(parsed), env)` reads what it parsed."""
    for setting in SETTINGS:
        if plane in setting.planes and setting.flag:
            parser.add_argument(
                setting.flag,
                dest=setting.name,
                metavar=setting.unit.upper(),
                action="append" if setting.is_repeatable else "store",
                help=f"{setting.help} [{setting.env}; {setting.default or 'none'}]".replace("%", "%%"),
            )


def _strangers(plane: Plane, flags: Mapping[str, Flag]) -> list[str]:
    known = {setting.name for setting in SETTINGS if plane in setting.planes}
    return sorted(name for name, value in flags.items() if value is not None and name not in known)


def _text_of(
    setting: Setting, plane: Plane | None, flags: Mapping[str, Flag], env: Mapping[str, str]
) -> tuple[str, Source]:
    if plane is not None and plane not in setting.planes:
        return setting.default, "default"
    flag = flags.get(setting.name)
    if flag is not None:
        return (flag if isinstance(flag, str) else _joined(flag)), "flag"
    if env.get(setting.env):
        return env[setting.env], "environment"
    return setting.default, "default"


def _joined(flag: int | Sequence[str]) -> str:
    return str(flag) if isinstance(flag, int) else ",".join(flag)


def _shown(setting: Setting, text: str) -> str:
    if setting.is_secret:
        return "(set)" if text else "(not set)"
    if setting.unit != "URL":
        return text
    # Up to the last @: a password typed without escapes may itself hold an @, a colon or a slash.
    without_user = re.sub(r"^([a-z+]+://).*@", r"\1***@", text)
    return re.sub(r"([?&][a-z_]*(?:username|password)=)[^&]*", r"\1***", without_user)
