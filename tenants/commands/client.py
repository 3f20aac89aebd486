"""The command line's side of the admin API: small, synchronous, with a deadline on everything."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tenants.commands.failures import REFUSED, USAGE, CommandFailed, usage

TIMEOUT_S = 15.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its JSON (None when it has no body) and the revision of its ETag (None when it has none)."""

    status: int
    body: Any
    etag: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask. `path`: its segments, quoted here; query parameters that are None are left out."""

    method: str
    path: tuple[str, ...]
    query: Mapping[str, str | None] | None = None
    body: object = None
    headers: Mapping[str, str] | None = None
    extra_s: float = 0.0

    def target(self) -> str:
        """The request target."""
        given = {name: value for name, value in (self.query or {}).items() if value is not None}
        path = "/v1/" + "/".join(quote(segment, safe="*") for segment in self.path)
        return f"{path}?{urlencode(given)}" if given else path


class ApiRefused(CommandFailed):
    """The API said no: its problem document as one line and its faults. A lost store counts as no connection."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        faults = [
            f"{fault['path']}: {fault['message']}" if fault.get("path") else str(fault.get("message"))
            for fault in problem.get("errors") or ()
        ]
        # The detail may hold the faults already, in one line.
        message = str(problem["detail"])
        exit_code = USAGE if status == HTTPStatus.SERVICE_UNAVAILABLE else REFUSED
        super().__init__(message, [fault for fault in faults if fault not in message], exit_code)
        self.status = status
        self.code = str(problem["code"])


class AdminClient:
    """One connection to the admin API at `url`, as the holder of `token`; close it, or use it with `with`."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise usage(f"the admin URL must be http://HOST:PORT or https://HOST:PORT, not {url!r}")
        self._url = url
        self._token = token
        self._base = parts.path.rstrip("/")
        self._connection = _connection(parts.scheme, parts.hostname, parts.port)

    def __enter__(self) -> AdminClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._connection.close()

    def send(self, request: Request) -> Reply:
        """Ask once. ApiRefused when the API says no; CommandFailed with status 2 when it cannot be reached."""
        headers = {
            "Accept": "application/json",
            "Authorization": f"Bearer {self._token}",
            **(request.headers or {}),
        }
        body = None
        if request.body is not None:
            body = json.dumps(request.body).encode()
            headers.setdefault("Content-Type", "application/json")
        status, raw, etag = self._exchange(request, body, headers)
        answer = self._parse(status, raw)
        if status >= HTTPStatus.BAD_REQUEST:
            if not (isinstance(answer, dict) and "code" in answer and "detail" in answer):
                raise usage(f"{self._url} is not an admin API: it answered with status {status}")
            raise ApiRefused(status, answer)
        return Reply(status, answer, etag)

    def pages(self, path: tuple[str, ...]) -> Iterator[Any]:
        """Every item of a paged list."""
        cursor: str | None = None
        while True:
            page = self.send(Request("GET", path, {"cursor": cursor})).body
            yield from page["items"]
            cursor = page["cursor"]
            if cursor is None:
                return

    def _exchange(
        self, request: Request, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, str | None]:
        connection = self._connection
        connection.timeout = TIMEOUT_S + request.extra_s
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        try:
            connection.request(request.method, self._base + request.target(), body, dict(headers))
            response = connection.getresponse()
            raw = response.read(MAX_ANSWER_BYTES + 1)
        except TimeoutError as error:
            raise usage(f"{self._url} did not answer within {connection.timeout:g}s") from error
        except ssl.SSLError as error:
            raise usage(f"cannot speak TLS with {self._url}: {_tls_words(error)}") from error
        except socket.gaierror as error:
            raise usage(f"cannot find the host of {self._url}: {error.strerror}") from error
        except OSError as error:
            raise usage(f"cannot connect to {self._url}: {error.strerror or error}") from error
        except http.client.HTTPException as error:
            raise usage(f"{self._url} does not answer as an HTTP server does") from error
        return response.status, raw, response.getheader("ETag")

    def _parse(self, status: int, raw: bytes) -> Any:
        if len(raw) > MAX_ANSWER_BYTES:
            raise usage(f"{self._url} answered more than {MAX_ANSWER_BYTES} bytes")
        if not raw:
            return None
        try:
            return json.loads(raw)
        except ValueError as error:
            raise usage(f"{self._url} is not an admin API: status {status}, and the answer is not JSON") from error


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or "the connection was closed").lower().replace("_", " ")


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
