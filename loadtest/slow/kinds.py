"""The ways in which clients are slow, as many as the fault matrix has of each, and how each has to end."""

from __future__ import annotations

from dataclasses import dataclass

HOST = "slow.example.com"
UPLOAD_BYTES = 100_000_000
SENT_BYTES = 50_000
CLOSED = "closed"
MANY, FEW = 5000, 2000
DEADLINE_S, STALL_S = 10.0, 30.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How many clients of the kinds that the matrix has more and fewer of, and the edge's deadlines, in seconds."""

    many: int = MANY
    few: int = FEW
    deadline_s: float = DEADLINE_S
    stall_s: float = STALL_S

    def settings(self) -> dict[str, str]:
        """Give the edge's settings for these."""
        deadlines = ("HEAD_TIMEOUT", "HANDSHAKE_TIMEOUT", "BODY_TIMEOUT", "BODY_GRACE")
        return {
            **{f"PORTICO_{name}": f"{self.deadline_s:g}s" for name in deadlines},
            "PORTICO_WRITE_TIMEOUT": f"{self.stall_s:g}s",
        }


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to be slow: what each client sends at once and goes on to send, and how it has to end and when."""

    row: str
    what: str
    count: int
    end: str
    due_s: float
    first: bytes = b""
    drip: bytes = b""
    is_pouring: bool = False
    is_reading: bool = True
    is_tls: bool = False
    bar_kib: float | None = None
    late_s: float = 1.0
    early_s: float = 1.0


def kinds(scale: Scale) -> list[Kind]:
    """List them in the order of the matrix; a bar is in KiB of resident memory for each client."""
    many, few, due_s = scale.many, scale.few, scale.deadline_s
    length = f"Content-Length: {UPLOAD_BYTES}"
    begun, hello = b"GET / HTTP/1.1\r\nX-Slow: a", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    upload, untaken = _head("POST /upload HTTP/1.1", length), _head("POST /deaf HTTP/1.1", length)
    unread = _head("GET /much HTTP/1.1")
    body_s = due_s / 2  # the matrix says no more of bodies than that they end
    read_s = scale.stall_s / 5 + 1  # it is looked at ten times in that time
    return [
        Kind("T54", "heads that drip", many, "408", due_s, begun, b"a"),
        Kind("T54", "connections that say nothing", many, CLOSED, due_s),
        Kind("T54", "TLS handshakes that stop", few, CLOSED, due_s, hello, is_tls=True),
        Kind("T55", "bodies that drip", many, "408", due_s, upload + b"x", b"x", bar_kib=120, late_s=body_s),
        Kind("T55", "bodies that stop", many, "408", due_s, upload + b"x" * SENT_BYTES, bar_kib=120, late_s=body_s),
        Kind(
            "T56",
            "answers that nobody reads",
            few,
            CLOSED,
            scale.stall_s,
            unread,
            is_reading=False,
            bar_kib=320,
            late_s=read_s,
        ),
        Kind(
            "T56",
            "uploads that nobody takes",
            few,
            "504",
            due_s,
            untaken,
            is_pouring=True,
            bar_kib=320,
            late_s=body_s,
            early_s=3,  # behind a target that takes nothing the buffers on the way go on filling for a moment
        ),
    ]


def _head(line: str, *fields: str) -> bytes:
    return "\r\n".join([line, f"Host: {HOST}", *fields, "", ""]).encode()


def document(ports: dict[str, int], scale: Scale) -> dict[str, object]:
    """Return the tenant of all of them, and of the bystander; `ports` are those of its targets on loopback."""
    paths = {"slow": "/*", "quick": "/status/*", "deaf": "/deaf", "much": "/much", "echo": "/bomb"}
    return {
        "tenant": "slow",
        "domains": [{"host": HOST, "verified_by": "operator"}],
        "upstreams": {
            name: {
                "targets": [f"http://127.0.0.1:{port}"],
                "max_connections": 65_536,
                "idle_timeout": f"{scale.deadline_s:g}s",
            }
            for name, port in ports.items()
        },
        "routes": [{"name": name, "path": path, "upstream": name} for name, path in paths.items()],
    }
