"""What is fuzzed: of each family the examples, the property, and how a finding is kept in `corpus/` and read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.decoders import DECODED, check_decoder
from tests.fuzz.properties import survives_answers, survives_requests
from tests.fuzz.rig import Rig
from tests.fuzz.strategies import ANSWER_ATTACKS, BODY_ATTACKS, REQUEST_ATTACKS, Attack

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Family:
    """One kind of examples; `check` raises Violation, `share` is its part of a long run."""

    examples: st.SearchStrategy[Any]
    check: Callable[[Rig, Any], None]
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    share: int


def _requests(rig: Rig, attacks: list[Attack]) -> None:
    rig.run(survives_requests(rig, attacks))


def _answers(rig: Rig, attacks: list[Attack]) -> None:
    rig.run(survives_answers(rig, attacks))


def _write_attacks(attacks: list[Attack]) -> Any:
    return [attack.as_json() for attack in attacks]


def _read_attacks(raw: Any) -> list[Attack]:
    return [Attack.of_json(each) for each in raw]


FAMILIES = {
    "requests": Family(REQUEST_ATTACKS, _requests, _write_attacks, _read_attacks, share=4),
    "bodies": Family(BODY_ATTACKS, _requests, _write_attacks, _read_attacks, share=2),
    "answers": Family(ANSWER_ATTACKS, _answers, _write_attacks, _read_attacks, share=3),
    "decoders": Family(DECODED, lambda _, example: check_decoder(example), list, tuple, share=1),
}


def keep(name: str, family: str, example: Any) -> Path:
    """Write an example into the corpus; the same name again replaces it."""
    path = CORPUS / f"{name}.json"
    kept = {"family": family, "example": FAMILIES[family].write(example)}
    path.write_text(json.dumps(kept, indent=1) + "\n")
    return path


def kept_example(path: Path) -> tuple[Family, Any]:
    """Read an example of the corpus."""
    kept = json.loads(path.read_text())
    family = FAMILIES[kept["family"]]
    return family, family.read(kept["example"])
