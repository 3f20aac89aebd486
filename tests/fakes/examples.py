"""Worked examples of a Markdown file, run as they stand: its YAML documents, and its `curl` lines with their statuses.

    examples = read_examples(ROOT / "edge" / "README.md", "Who calls")     # by the titles of its subsections
    [said, *_] = await examples["API keys"].run(edge, {"127.0.0.1:9000": f"127.0.0.1:{origin.port}"}, KEY=key.text)

A line to type is `curl -i ...`, with the status that it is answered with behind it: `# 401`. It is run by a shell and
the curl on PATH; `places` says who stands where the example has an address, the edge's own aside; what the example
leaves to its reader (a key, a token) comes as a variable of the shell.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.model import load_yaml_documents
from tests.fakes.edges import RunningEdge

EDGE = "127.0.0.1:8080"
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CALL = re.compile(r"^(curl -i .*?) +# (\d{3})$", re.MULTILINE)


@dataclass(frozen=True)
class Call:
    """A line to type, and the status that it is answered with."""

    line: str
    status: int


@dataclass(frozen=True)
class Example:
    """One subsection: what is applied, and what is then asked."""

    documents: tuple[str, ...]
    calls: tuple[Call, ...]
    script: str
    """All that there is to type, those calls included."""

    async def run(self, edge: RunningEdge, places: Mapping[str, str] | None = None, **variables: str) -> list[str]:
        """Apply the documents, make the calls, and give what each was answered; AssertionError for another status."""
        at = {EDGE: f"127.0.0.1:{edge.port}", **(places or {})}
        for document in self.documents:
            for raw in load_yaml_documents(_moved(document, at)):
                await edge.put(_mapping(raw))
        said = []
        for call in self.calls:
            answer = await _typed(_moved(call.line, at), variables)
            first = answer.partition("\r\n")[0]
            assert first.split(" ")[1:2] == [str(call.status)], (call, answer)
            said.append(answer)
        return said


def read_examples(path: Path, heading: str) -> dict[str, Example]:
    """Read the examples of a section (`## heading`), by the titles of its subsections (`###`)."""
    section = re.split(r"^## ", path.read_text().partition(f"\n## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    parts = re.split(r"^### (.+)\n", section, flags=re.MULTILINE)
    return {title: _example(text) for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def _example(text: str) -> Example:
    fences = _FENCE.findall(text)
    script = "".join(block for kind, block in fences if kind == "sh")
    calls = tuple(Call(line, int(status)) for line, status in _CALL.findall(script))
    typed = [line for line in script.splitlines() if line.startswith("curl")]
    assert len(calls) == len(typed), f"each curl line is `curl -i ... # status`: {typed}"
    return Example(tuple(block for kind, block in fences if kind == "yaml"), calls, script)


def _mapping(raw: object) -> Mapping[str, Any]:
    assert isinstance(raw, Mapping)
    return raw


def _moved(text: str, at: Mapping[str, str]) -> str:
    for usual, here in at.items():
        text = text.replace(usual, here)
    return text


async def _typed(line: str, variables: Mapping[str, str]) -> str:
    """Run a line as whoever follows the example does."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-euc", line, env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()
