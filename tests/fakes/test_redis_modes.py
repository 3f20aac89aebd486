"""tests/fakes/redis_modes.py: servers that start whatever else the machine does."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.fakes.redis_modes import ClusterProcess

BUS_ABOVE = 10_000


def test_the_port_of_a_clusters_bus_is_given_to_no_outgoing_connection(tmp_path: Path) -> None:
    first_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert ClusterProcess.ports[-1] + BUS_ABOVE < first_given
    with ClusterProcess(tmp_path) as node:
        assert node.port in ClusterProcess.ports
        socket.create_connection(("127.0.0.1", node.port + BUS_ABOVE)).close()
