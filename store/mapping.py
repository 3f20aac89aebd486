"""Foreign exceptions become StoreErrors here, and nowhere else."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    DataError,
    MaxConnectionsError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from store.errors import StoreError, StoreRefused, StoreUnavailable

# Replies of a server that is there and cannot do it now: nothing was done, a later try may succeed.
_NOT_NOW = ("NOREPLICAS", "LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "READONLY", "UNBLOCKED")
_CODE = re.compile("[A-Z]{1,20}")
# Redis before 7 wraps what a script's command was refused with: `-CODE` where it was not run, `CODE` where it was.
_IN_A_SCRIPT = re.compile(
    r"Error running script \(call to f_[0-9a-f]{40}\): @user_script:\d+: (?:@user_script: \d+: -)?([A-Z]{1,20}) "
)

_WHY_UNREACHABLE: tuple[tuple[type[Exception], str], ...] = (
    (ssl.SSLCertVerificationError, "its TLS certificate is not trusted"),
    (ssl.SSLError, "TLS failed"),
    (socket.gaierror, "its name does not resolve"),
    (ConnectionRefusedError, "nobody listens there"),
    (FileNotFoundError, "there is no such socket"),
    (PermissionError, "this user may not open its socket"),
)


@dataclass
class Progress:
    """How far a command got: `sent_write` is True from the moment a write may have reached Redis."""

    sent_write: bool = False


@contextmanager
def mapped() -> Iterator[Progress]:
    """Turn what redis, asyncio or a socket raises into a StoreError; set `sent_write` before a write."""
    progress = Progress()
    try:
        yield progress
    except (StoreError, DataError):  # DataError: an argument of a type redis-py cannot send, a mistake of ours
        raise
    except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
        raise store_error(error, progress.sent_write) from error


def store_error(error: Exception, sent_write: bool) -> StoreError:
    """Say what a foreign exception means for us; `sent_write`: a write may have reached the server."""
    if isinstance(error, (AuthenticationError, AuthenticationWrongNumberOfArgsError, AuthorizationError)):
        return StoreRefused(f"Redis refused the user name or password{_by_code(error)}")
    if isinstance(error, NoPermissionError):
        return StoreRefused(f"the Redis user lacks a permission that is needed{_by_code(error)}")
    if isinstance(error, OutOfMemoryError) or (isinstance(error, ResponseError) and _code(error) == "OOM"):
        return StoreRefused("Redis is out of memory (OOM)")
    if isinstance(error, (ReadOnlyError, ClusterDownError, TryAgainError, BusyLoadingError)):
        why = "Redis cannot serve this now: it is starting, failing over or resharding"
        return StoreUnavailable(f"{why}{_by_code(error)}")
    if isinstance(error, ResponseError):
        return _from_reply(error)
    if isinstance(error, MaxConnectionsError):
        return StoreUnavailable("all connections to Redis are in use")
    if isinstance(error, (RedisTimeoutError, TimeoutError)):
        return StoreUnavailable("Redis did not answer in time", ambiguous=sent_write)
    if isinstance(error, (RedisConnectionError, OSError)):
        return StoreUnavailable(_why_lost(error, sent_write), ambiguous=sent_write)
    return StoreUnavailable(f"Redis failed: {type(error).__name__}", ambiguous=sent_write)


def _why_lost(error: Exception, sent_write: bool) -> str:
    # redis-py wraps what the system said; an operator wants to know which of these it was.
    seen = [error, error.__cause__, error.__context__]
    for kind, why in _WHY_UNREACHABLE:
        if any(isinstance(each, kind) for each in seen):
            return f"Redis cannot be reached: {why}"
    return "the connection to Redis was lost" if sent_write else "Redis cannot be reached"


def _from_reply(error: ResponseError) -> StoreError:
    code = _code(error)
    if code in _NOT_NOW:
        return StoreUnavailable(f"Redis cannot serve this now ({code})")
    return StoreRefused(f"Redis refused the command ({code or type(error).__name__})")


def _by_code(error: RedisError) -> str:
    return f" ({code})" if (code := _code(error)) else ""


def _code(error: RedisError) -> str:
    """Give the code that Redis refused a command with, "" if there is none; the rest of a reply may quote arguments."""
    text, code = str(error), error.status_code or ""
    if code == "ERR":
        found = _IN_A_SCRIPT.match(text)
        return code if found is None else found[1]
    if code or type(error) is not ResponseError:  # redis-py has taken the code off the text, if there was one
        return code
    word = text.partition(" ")[0]
    return word if _CODE.fullmatch(word) else ""
