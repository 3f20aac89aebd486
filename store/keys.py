"""Every Redis key and channel, one function each.

The part in braces is the hash tag: on a Redis Cluster everything with the same tag lives in one slot, so
that one script may touch all of it. Configuration is one slot, the fleet's reports another, and each
tenant's limits and each tenant's sessions are one of their own.
"""

from __future__ import annotations

from hashlib import blake2b, sha256

MAX_LIMIT_KEY_CHARS = 64
DIGEST_CHARS = 64


def epoch() -> str:
    """String: a random name made once with the data; another name means other data."""
    return "{cfg}:epoch"


def revision() -> str:
    """Counter: the revision of the last commit of any tenant."""
    return "{cfg}:rev"


def documents() -> str:
    """Hash: tenant -> '>QQ' revision of the document and what it lacks to 2**53 - 1, then the encoded record."""
    return "{cfg}:docs"


def changes() -> str:
    """Sorted set: tenant -> revision of its last change; a deleted tenant stays, without a document."""
    return "{cfg}:changes"


def run() -> str:
    """String: the run id of the Redis that took the last commit."""
    return "{cfg}:run"


def callers() -> str:
    """Sorted set: tenant -> revision of the last change of who may call it, its API keys or sessions; as `changes`."""
    return "{cfg}:callers"


def names() -> str:
    """Sorted set, all scores 0: the tenants that have a document, in order of name, for paging."""
    return "{cfg}:names"


def hosts() -> str:
    """Hash: host -> the one tenant that owns it."""
    return "{cfg}:hosts"


def claims(tenant: str) -> str:
    """Set: the hosts that this tenant owns, so that a commit can free those it gives up."""
    return f"{{cfg}}:claims:{tenant}"


def history(tenant: str) -> str:
    """List, newest first, bounded: msgpack of (revision, at_ms, actor, action, payload)."""
    return f"{{cfg}}:history:{tenant}"


def api_keys(tenant: str) -> str:
    """Hash: API key id -> encoded record (a hash of the secret, never the secret)."""
    return f"{{cfg}}:keys:{tenant}"


def key_uses(tenant: str) -> str:
    """Hash: API key id -> Redis' clock when it was last used, in ms, to the minute.

    In configuration's slot and not under its name: edges write it, and nothing else of that slot.
    """
    return f"used:{{cfg}}:{tenant}"


def tokens() -> str:
    """Hash: admin token id -> encoded record."""
    return "{cfg}:tokens"


def audit() -> str:
    """Stream, trimmed approximately: who did what to whom, at which revision."""
    return "{cfg}:audit"


def tick_channel() -> str:
    """Channel: a small msgpack event after every commit; a hint, never the truth."""
    return "{cfg}:tick"


def reports() -> str:
    """Hash: worker id -> its last report, encoded."""
    return "{fleet}:reports"


def heartbeats() -> str:
    """Sorted set: worker id -> Redis' clock at its last report, in ms."""
    return "{fleet}:beats"


def ack_channel() -> str:
    """Channel: a worker id, each time that worker reports."""
    return "{fleet}:ack"


def limits(tenant: str) -> str:
    """What the keys of all counts of a tenant begin with; of itself the name of none."""
    return f"{{rl:{tenant}}}"


def limit(tenant: str, name: str, key: str) -> str:
    """String: how a rate or a quota of one caller stands (lua/take.lua); one slot per tenant.

    `key` is what a client sent (an address, a header): a long or odd one is replaced by its digest.
    """
    return f"{limits(tenant)}:{name}:{plain(key)}"


def places(tenant: str, name: str, key: str) -> str:
    """Hash: worker -> how many requests it has under way (lua/enter.lua); a key of its own.

    What is under way outlives a change of the limit's kind, and must not be in the way of a rate of the same name.
    """
    return f"{limits(tenant)}/{name}:{plain(key)}"


def plain(key: str) -> str:
    """Give what stands for a caller's key in the name of a count."""
    if len(key) <= MAX_LIMIT_KEY_CHARS and key.isascii():
        return key
    return "#" + blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def session(tenant: str, session_id: str) -> str:
    """String, expiring: a sealed session. Its id is the browser's secret: only its digest is ever here."""
    return f"{{sess:{tenant}}}:s:{digest(session_id)}"


def session_mark(tenant: str, subject: str | None = None) -> str:
    """String, expiring: a random name, made when the sessions of a tenant, or of one subject, were revoked last."""
    if subject is None:
        return f"{{sess:{tenant}}}:revoked"
    digest = blake2b(subject.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{{sess:{tenant}}}:revoked:{digest}"


def ended_sessions() -> str:
    """Channel: tenant and digest of a session that has ended; a hint, as the tick. Edges publish it, and listen."""
    return "{sess}:ended"


def login(tenant: str, state: str) -> str:
    """String, expiring: that a login was answered, so that none is answered twice."""
    return f"{{sess:{tenant}}}:login:{digest(state)}"


def done(write_id: str) -> str:
    """String, expiring: the outcome of a write, so that sending it twice does it once."""
    return f"{{cfg}}:done:{write_id}"


def digest(secret: str) -> str:
    """What stands for a secret of a browser's where others can read it; of the secret nothing can be learnt from it."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
