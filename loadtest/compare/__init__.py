"""Portico beside other proxies: CPU for each request, rates, latency and memory, in the same run on one machine."""
