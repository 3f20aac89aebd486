from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.fuzz.decoders import DECODED, Example, check_decoder


@settings(max_examples=300, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(DECODED)
def test_what_reads_strangers_words_gives_one_spelling_or_its_own_error(example: Example) -> None:
    check_decoder(example)
