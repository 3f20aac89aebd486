"""`python -m loadtest NAME`: the measurements."""

from __future__ import annotations

import importlib
import sys

MEASUREMENTS = {
    "propagation": "how long from a commit until every worker of a node serves it",
    "bodies": "a gigabyte each way: identical, and in flat memory",
    "lookup": "what a match costs with 10, 1,000 and 100,000 domains",
    "limits": "what one limit costs a request, counted ahead of requests or one by one",
    "keys": "a million API keys: a worker's memory, what each kind of key takes, and exact revocation",
    "slow": "thousands of slow clients: memory of each, their ends, and what one beside them sees",
    "compare": "what a request costs beside nginx, HAProxy, Caddy, Envoy, nginx with Lua, and aiorp",
}
PACKAGES = {
    "slow": "slow.command",
    "compare": "compare.command",
}  # those of more than one file, and where theirs begins


def main(argv: list[str]) -> int:
    """Run the measurement that is named first; 2 when there is none of that name."""
    if not argv or argv[0] not in MEASUREMENTS:
        names = "\n".join(f"  {name:12} {what}" for name, what in MEASUREMENTS.items())
        sys.stderr.write(f"usage: python -m loadtest NAME [OPTION...]\n\n{names}\n")
        return 2
    # Each is a program of its own, so that measuring one thing does not import what another needs.
    measurement = importlib.import_module(f"loadtest.{PACKAGES.get(argv[0], argv[0])}")
    return int(measurement.main(argv[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
