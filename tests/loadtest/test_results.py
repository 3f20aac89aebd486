"""The file of results: each measurement writes its own part."""

from __future__ import annotations

from pathlib import Path

from loadtest.results import with_part, write_part

BESIDE, KEYS = "# Beside others\n\n## full\n\n| a |\n", "# Keys\n\n| b |\n"


def test_a_part_is_added_at_the_end_and_replaced_in_its_place() -> None:
    both = with_part(with_part("", BESIDE), KEYS)
    assert both == f"{BESIDE}\n{KEYS}"
    assert with_part(both, "# Beside others\n\nnew") == f"# Beside others\n\nnew\n\n{KEYS}"
    assert with_part(both, KEYS) == both


def test_the_file_keeps_its_other_parts(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    write_part(BESIDE, path)
    write_part(KEYS, path)
    write_part("# Beside others\n\nagain", path)
    assert path.read_text() == f"# Beside others\n\nagain\n\n{KEYS}"
