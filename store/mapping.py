"""Foreign exceptions become StoreErrors here, and nowhere else."""

from __future__ import annotations

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
        return StoreRefused("Redis refused the user name or password")
    if isinstance(error, NoPermissionError):
        return StoreRefused("the Redis user lacks a permission that is needed")
    if isinstance(error, OutOfMemoryError):
        return StoreRefused("Redis is out of memory")
    if isinstance(error, (ReadOnlyError, ClusterDownError, TryAgainError, BusyLoadingError)):
        return StoreUnavailable("Redis cannot serve this now: it is starting, failing over or resharding")
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
    word = str(error).partition(" ")[0]  # the rest may quote arguments
    if word in _NOT_NOW:
        return StoreUnavailable(f"Redis cannot serve this now ({word})")
    return StoreRefused(f"Redis refused the command ({word or type(error).__name__})")
