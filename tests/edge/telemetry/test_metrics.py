from __future__ import annotations

import re

import pytest

from edge.telemetry.counters import Counters
from edge.telemetry.metrics import METRICS, lasting, merge, metric_of, render


def test_every_metric_has_our_prefix_a_help_line_and_the_suffix_of_its_kind() -> None:
    for metric in METRICS:
        assert re.fullmatch(r"portico_[a-z_]+", metric.name)
        assert metric.help.endswith(".")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_every_sample_of_a_workers_counters_is_in_the_table() -> None:
    for sample in Counters().samples():
        metric_of(sample)


def test_a_sample_nobody_declared_is_an_error() -> None:
    with pytest.raises(KeyError):
        metric_of("portico_surprise_total")


def test_counters_of_several_workers_are_summed_and_gauges_follow_their_rule() -> None:
    one = {"portico_connections_total": 3, "portico_config_revision": 7, "portico_config_age_seconds": 0.5}
    two = {"portico_connections_total": 4, "portico_config_revision": 5, "portico_config_age_seconds": 2.0}
    assert merge([one, two]) == {
        "portico_connections_total": 7,
        "portico_config_revision": 5,
        "portico_config_age_seconds": 2.0,
    }


def test_what_outlives_a_worker_is_its_counters_and_histograms() -> None:
    kept = lasting({**Counters().samples(), "portico_connections_total": 3, "portico_connections_open": 2})
    assert "portico_connections_total" in kept
    assert "portico_request_duration_seconds_sum" in kept
    assert "portico_connections_open" not in kept


def test_the_page_has_one_header_per_family_and_no_doubtful_line() -> None:
    counters = Counters()
    counters.by_class[2] += 3
    counters.answered(502, 0.003)
    page = render(counters.samples())
    assert 'portico_requests_total{status="2xx"} 3\n' in page
    assert 'portico_request_duration_seconds_bucket{le="0.0025"} 0\n' in page
    assert 'portico_request_duration_seconds_bucket{le="0.005"} 1\n' in page
    assert 'portico_request_duration_seconds_bucket{le="+Inf"} 1\n' in page
    assert "portico_request_duration_seconds_sum 0.003\n" in page
    line = re.compile(r"# (HELP|TYPE) portico_[a-z_]+ .+|portico_[a-z_]+(\{([a-z]+=\"[^\"\\]+\",?)+\})? [0-9.e+-]+")
    assert all(line.fullmatch(each) for each in page.splitlines())
    assert page.count("# TYPE portico_request_duration_seconds histogram") == 1
    assert page.count("# TYPE") == page.count("# HELP") == len(set(re.findall(r"# TYPE (\S+)", page)))


def test_a_request_that_never_began_an_answer_is_no_request_of_any_class() -> None:
    counters = Counters()
    counters.answered(0, 0.1)
    counters.answered(204, 0.1)
    samples = counters.samples()
    assert sum(value for name, value in samples.items() if name.startswith("portico_requests_total")) == 1
    assert samples["portico_request_duration_seconds_count"] == 2
