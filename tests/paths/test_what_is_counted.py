"""What a worker counts of its way to targets, from requests to the page of metrics."""

from __future__ import annotations

from tests.fakes.edges import running_edge
from tests.fakes.origins import refusing_port, running_origin


async def test_retries_ejections_and_connections_to_targets_are_among_a_workers_numbers(redis_url: str) -> None:
    async with running_edge(redis_url) as edge, running_origin() as origin:
        with refusing_port() as dead:
            await edge.put(
                {
                    "tenant": "acme",
                    "domains": [{"host": "shop.test", "verified_by": "operator"}],
                    "upstreams": {"app": {"targets": [f"http://127.0.0.1:{dead}", origin.url]}},
                    "routes": [{"name": "all", "path": "/*", "upstream": "app"}],
                }
            )
            for _ in range(12):
                assert (await edge.get("/echo")).status == 200
        samples = edge.worker.samples()
        assert samples['portico_upstream_retries_total{reason="connect"}'] == 5
        assert samples['portico_upstream_connects_total{outcome="failed"}'] == 5
        assert samples["portico_upstream_ejections_total"] == 1
        assert samples["portico_upstream_connections"] == 1
