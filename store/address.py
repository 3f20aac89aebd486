"""Redis URLs of five kinds, parsed: redis, rediss, unix, redis+sentinel, redis+cluster (and rediss+...).

Pure. No message repeats any part of the URL: a password with an unquoted `@` or `/` can end up in any part
of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from store.errors import BadRedisUrl

Kind = Literal["single", "unix", "sentinel", "cluster"]

SCHEMES: dict[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
DEFAULT_PORT = {"single": 6379, "unix": 0, "sentinel": 26379, "cluster": 6379}
TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs")
CERT_REQS = ("required", "optional", "none")
SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
MAX_PORT = 65535


@dataclass(frozen=True)
class RedisAddress:
    """Where a Redis is and how to be let in; its repr holds no password."""

    kind: Kind
    nodes: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    tls: bool = False
    tls_options: tuple[tuple[str, str | bool], ...] = ()

    def __str__(self) -> str:
        """What may be shown to an operator: kind and place, no credential."""
        if self.kind == "unix":
            return f"unix://{self.path}"
        nodes = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.nodes)
        infix = "" if self.kind == "single" else f"+{self.kind}"
        service = f"/{self.service}" if self.service else ""
        return f"redis{'s' if self.tls else ''}{infix}://{nodes}{service}"


def parse_redis_url(url: str) -> RedisAddress:
    """Parse one of the five kinds; options after `?`: db, password (unix), sentinel_*, and ssl_* with TLS.

    Raises BadRedisUrl with one line that says what is wrong and repeats nothing of the URL.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        raise BadRedisUrl("the Redis URL is malformed") from None
    if parts.scheme not in SCHEMES:
        raise BadRedisUrl(
            "the Redis URL must begin with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"
        )
    kind, tls = SCHEMES[parts.scheme]
    if parts.fragment:
        raise BadRedisUrl("the Redis URL has a '#' in it: write it as %23 in a password")
    options = _options(parts.query, kind, tls)
    username, password, rest = _credentials(parts.netloc)
    if kind == "unix":
        return _unix(parts, rest, username, password, options)
    path = [unquote(piece) for piece in parts.path.split("/")[1:] if piece]
    service = path.pop(0) if kind == "sentinel" and path else ""
    if kind == "sentinel" and not service:
        raise BadRedisUrl("a redis+sentinel:// URL ends in the service's name: redis+sentinel://host,host/service")
    if len(path) > 1:
        raise BadRedisUrl("the Redis URL's path has too many parts (quote a '/' in a password as %2F)")
    db = _database(path[0] if path else options.get("db"))
    if kind == "cluster" and db:
        raise BadRedisUrl("a Redis Cluster has database 0 only")
    return RedisAddress(
        kind=kind,
        nodes=_nodes(rest, kind),
        service=service,
        db=db,
        username=username,
        password=password,
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
        tls=tls,
        tls_options=_tls_options(options),
    )


def _options(query: str, kind: Kind, tls: bool) -> dict[str, str]:
    known = {"db"}
    known |= set(TLS_OPTIONS) if tls else set()
    known |= set(SENTINEL_OPTIONS) if kind == "sentinel" else set()
    known |= {"username", "password"} if kind == "unix" else set()
    found = dict(parse_qsl(query, keep_blank_values=True))
    if set(found) - known:
        raise BadRedisUrl(f"the Redis URL has an option it cannot take; known: {', '.join(sorted(known))}")
    return found


def _credentials(netloc: str) -> tuple[str | None, str | None, str]:
    userinfo, at, rest = netloc.rpartition("@")
    if not at:
        return None, None, rest
    username, _, password = userinfo.partition(":")
    return unquote(username) or None, unquote(password) or None, rest


def _unix(
    parts: SplitResult, host: str, username: str | None, password: str | None, options: dict[str, str]
) -> RedisAddress:
    path = unquote(host + parts.path)
    if not path.startswith("/"):
        raise BadRedisUrl("a unix:// URL holds the socket's absolute path: unix:///run/redis.sock")
    return RedisAddress(
        kind="unix",
        path=path,
        db=_database(options.get("db")),
        username=username or options.get("username"),
        password=password or options.get("password"),
    )


def _database(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise BadRedisUrl("the Redis URL's database must be a number (quote a '/' in a password as %2F)")
    return int(text)


def _nodes(text: str, kind: Kind) -> tuple[tuple[str, int], ...]:
    names = text.split(",")
    if kind == "single" and len(names) > 1:
        raise BadRedisUrl("a redis:// URL names one host; several need redis+sentinel:// or redis+cluster://")
    return tuple(_node(name, DEFAULT_PORT[kind]) for name in names)


def _node(text: str, default_port: int) -> tuple[str, int]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port_text = rest.removeprefix(":")
    else:
        host, _, port_text = text.partition(":")
    if not host:
        raise BadRedisUrl("the Redis URL names no host")
    if not port_text:
        return host, default_port
    if not (port_text.isascii() and port_text.isdigit() and 0 < int(port_text[:6]) <= MAX_PORT):
        raise BadRedisUrl("the Redis URL's port must be a number from 1 to 65535 (quote '@' and ':' in a password)")
    return host, int(port_text)


def _tls_options(options: dict[str, str]) -> tuple[tuple[str, str | bool], ...]:
    found: dict[str, str | bool] = {name: options[name] for name in TLS_OPTIONS if name in options}
    if found.get("ssl_cert_reqs", "required") not in CERT_REQS:
        raise BadRedisUrl("ssl_cert_reqs is one of required, optional, none")
    if "ssl_check_hostname" in found:
        if found["ssl_check_hostname"] not in ("true", "false"):
            raise BadRedisUrl("ssl_check_hostname is true or false")
        found["ssl_check_hostname"] = found["ssl_check_hostname"] == "true"
    return tuple(found.items())
