"""Configuration files: read, and checked without any server."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from store.model import (
    DocumentError,
    Plans,
    TenantDocument,
    dump_document,
    dump_plans,
    load_yaml_documents,
    missing_plan,
    parse_document,
    parse_plans,
)
from tenants.commands.failures import CommandFailed, FaultsFound, usage

MAX_FILE_BYTES = 64 * 1024 * 1024

Files = Annotated[
    list[str] | None,
    typer.Option("--file", "-f", metavar="FILE", help="A YAML or JSON file, - for standard input; repeatable."),
]
MoreFiles = Annotated[list[str] | None, typer.Argument(metavar="[FILE]...", help="More files.", show_default=False)]


@dataclass(frozen=True, slots=True)
class Loaded:
    """One tenant's document of a file, parsed; `place` says where it was."""

    place: str
    document: TenantDocument

    @property
    def tenant(self) -> str:
        """Whose document it is."""
        return self.document.tenant

    def dumped(self) -> dict[str, Any]:
        """The document in its own spelling, without defaults."""
        return dump_document(self.document)


@dataclass(frozen=True, slots=True)
class LoadedPlans:
    """The plans of a file, parsed; `place` says where they were."""

    place: str
    plans: Plans

    def dumped(self) -> dict[str, Any]:
        """The plans in their own spelling, without defaults."""
        return dump_plans(self.plans)


@dataclass(slots=True)
class LoadedFiles:
    """All that the files hold; `plans` is None when they say nothing of plans."""

    tenants: list[Loaded] = field(default_factory=list)
    plans: LoadedPlans | None = None


def load_files(files: Sequence[str] | None, more: Sequence[str] | None) -> LoadedFiles:
    """Read and check every document of every file; FaultsFound lists all faults of all of them, none is skipped."""
    names = [*(files or ()), *(more or ())]
    if not names:
        raise usage("no file: say which with -f FILE")
    if len(set(names)) < len(names):
        raise usage("the same file is named twice")
    loaded = LoadedFiles()
    faults: list[str] = []
    for name in names:
        for place, raw in _documents(name, faults):
            try:
                faults.extend(_take(loaded, place, raw))
            except DocumentError as error:
                faults.extend(f"{place}: {fault}" for fault in error.faults)
    faults.extend(_between(loaded.tenants))
    faults.extend(_of_plans(loaded))
    if faults:
        raise FaultsFound(faults)
    if not loaded.tenants and loaded.plans is None:
        raise CommandFailed("there is no document in these files")
    return loaded


def load_raw(name: str) -> dict[str, Any]:
    """Read the one mapping of a file as it is written; what is in it, the server checks."""
    try:
        found = load_yaml_documents(_read(name))
    except DocumentError as error:
        raise CommandFailed(f"{name} cannot be used", map(str, error.faults)) from error
    if len(found) != 1 or not isinstance(found[0], dict):
        raise CommandFailed(f"{name} must hold one mapping")
    return found[0]


def _take(loaded: LoadedFiles, place: str, raw: object) -> Iterator[str]:
    """Add what is in one document; DocumentError when it breaks the rules. Gives what is wrong between two of plans."""
    if not _is_of_plans(raw):
        loaded.tenants.append(Loaded(place, parse_document(raw)))
        return
    plans = LoadedPlans(place, parse_plans(raw))
    if loaded.plans is not None:
        yield f"{place}: plans: described twice, also in {loaded.plans.place}"
    loaded.plans = loaded.plans or plans


def _is_of_plans(raw: object) -> bool:
    return isinstance(raw, dict) and "plans" in raw and "tenant" not in raw


def _documents(name: str, faults: list[str]) -> list[tuple[str, object]]:
    shown = "standard input" if name == "-" else name
    try:
        found = load_yaml_documents(_read(name))
    except DocumentError as error:
        faults.extend(f"{shown}: {fault}" for fault in error.faults)
        return []
    raws: list[object] = []
    for raw in found:
        # `export --output json` of several tenants is one list
        raws.extend(raw if isinstance(raw, list) else [raw])
    return [(_place(shown, index, raw, len(raws)), raw) for index, raw in enumerate(raws)]


def _read(name: str) -> str:
    try:
        raw = sys.stdin.buffer.read(MAX_FILE_BYTES + 1) if name == "-" else _read_file(Path(name))
        text = raw.decode("utf-8")
    except OSError as error:
        raise usage(f"cannot read {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{name} is not UTF-8 (byte {error.start})") from error
    if len(raw) > MAX_FILE_BYTES:
        raise CommandFailed(f"{name} is larger than {MAX_FILE_BYTES} bytes")
    return text


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def _place(shown: str, index: int, raw: object, count: int) -> str:
    tenant = raw.get("tenant") if isinstance(raw, dict) else None
    if isinstance(tenant, str):
        return f"{shown}: {tenant}"
    return f"{shown}: document {index + 1}" if count > 1 else shown


def _of_plans(loaded: LoadedFiles) -> Iterator[str]:
    """Tenants on plans that are not among the files', where the files say which there shall be."""
    if loaded.plans is None:
        return
    for one in loaded.tenants:
        fault = missing_plan(one.document.plan, loaded.plans.plans)
        if fault is not None:
            yield f"{one.place}: {fault}"


def _between(loaded: Iterable[Loaded]) -> list[str]:
    """What no document says alone: a tenant described twice, a host claimed by two."""
    faults: list[str] = []
    tenants: dict[str, str] = {}
    hosts: dict[str, str] = {}
    for one in loaded:
        if one.tenant in tenants:
            faults.append(f"{one.place}: tenant: described twice, also in {tenants[one.tenant]}")
            continue
        tenants[one.tenant] = one.place
        for index, domain in enumerate(one.document.domains):
            if domain.host in hosts:
                faults.append(f"{one.place}: domains[{index}]: {domain.host} is claimed by {hosts[domain.host]} too")
            hosts.setdefault(domain.host, one.tenant)
    return faults
