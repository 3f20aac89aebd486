"""The file of results: a part for each measurement that writes one, so that none of them takes another's away."""

from __future__ import annotations

import re
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
_PART = re.compile(r"^(?=# )", re.MULTILINE)


def with_part(text: str, part: str) -> str:
    """Put a part (from its heading, `# Title`) in the place of the one with the same heading, or at the end."""
    heading = part.partition("\n")[0]
    parts = [each for each in _PART.split(text) if each.strip()]
    fresh = part.rstrip("\n") + "\n"
    kept = [fresh if each.partition("\n")[0] == heading else each.rstrip("\n") + "\n" for each in parts]
    return "\n".join(kept if fresh in kept else [*kept, fresh])


def write_part(part: str, path: Path = RESULTS) -> None:
    """Write a part to the file, which keeps its others."""
    path.write_text(with_part(path.read_text() if path.exists() else "", part))
