"""Documents that cannot drift: what the code has, they list; what they say to type, works."""

from __future__ import annotations

import re
import stat
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edge.errors import ERRORS
from edge.tables import NO_HEADERS, UNCONDITIONAL, DomainTable, Hit, TableRow
from edge.telemetry.metrics import METRICS
from store.model import PathPattern
from store.settings import SETTINGS, Plane, Setting
from tenants.cli import app
from tests.fakes.dev import RunningDev, running_dev, shell
from tests.fakes.source import PACKAGES, ROOT, modules

README = (ROOT / "README.md").read_text()
EDGE = (ROOT / "edge" / "README.md").read_text()
DOCUMENTS = [
    path for path in ROOT.rglob("*.md") if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
]
PLANES = ("edge", "control", "cli", "dev")


def row_of(setting: Setting) -> str:
    flag = f"`{setting.flag}`" if setting.flag else ""
    default = f"`{setting.default}`" if setting.default else ""
    planes = ", ".join(plane for plane in PLANES if plane in setting.planes)
    return f"| `{setting.env}` | {flag} | {default} | {planes} | {setting.help} |"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_the_readme_lists_every_setting_as_it_is(setting: Setting) -> None:
    assert row_of(setting) in README.splitlines()


def test_the_readme_lists_no_setting_that_does_not_exist() -> None:
    listed = re.findall(r"^\| `(PORTICO_\w+)`", README, re.MULTILINE)
    assert listed == [setting.env for setting in SETTINGS]


@pytest.mark.parametrize(
    ("plane", "package"), [("edge", "edge"), ("control", "tenants"), ("cli", "tenants"), ("dev", "tenants")]
)
def test_every_setting_has_an_effect_on_its_plane(plane: Plane, package: str) -> None:
    code = "\n".join((ROOT / module.path).read_text() for module in modules(package))
    mine = [setting.name for setting in SETTINGS if plane in setting.planes]
    assert not [name for name in mine if f"ettings.{name}" not in code]


def test_the_edges_readme_lists_every_metric() -> None:
    lines = EDGE.splitlines()
    assert not [m.name for m in METRICS if f"| `{m.name}` | {m.kind} | {m.help} |" not in lines]
    assert set(re.findall(r"^\| `(portico_\w+)`", EDGE, re.MULTILINE)) == {metric.name for metric in METRICS}


def test_the_edges_readme_lists_every_error_code() -> None:
    listed = dict(re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \|", EDGE, re.MULTILINE))
    assert listed == {code: str(kind.status) for code, kind in ERRORS.items()}


RANKED = re.findall(r"^\| `(/[^`]+)` \| (`/.+`) \| `(/[^`]+)` \|$", EDGE, re.MULTILINE)


def test_the_edges_readme_has_examples_of_which_route_wins() -> None:
    assert len(RANKED) >= 6


@pytest.mark.parametrize(("path", "patterns", "winner"), RANKED)
def test_the_route_that_the_edges_readme_says_wins_does(path: str, patterns: str, winner: str) -> None:
    listed = re.findall(r"`([^`]+)`", patterns)
    rows = [TableRow(PathPattern.parse(each), None, UNCONDITIONAL, 0, each) for each in listed]
    for order in (rows, rows[::-1]):
        found = DomainTable(order).match(path, "GET", NO_HEADERS, "")
        assert isinstance(found, Hit)
        assert found.entry == winner
        for row in rows:
            assert isinstance(DomainTable([row]).match(path, "GET", NO_HEADERS, ""), Hit)


def commands() -> list[str]:
    tree = typer.main.get_command(app)
    assert isinstance(tree, typer.core.TyperGroup)
    return sorted(tree.commands)


@pytest.mark.parametrize("name", commands())
def test_the_readme_lists_every_command(name: str) -> None:
    assert re.search(rf"`{name}[` ]", README.partition("## Commands")[2].partition("\n## ")[0])


def test_every_dependency_is_bounded_locked_and_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [
        Requirement(text)
        for text in (*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["dev"])
    ]
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    reasons = (ROOT / "CONTRIBUTING.md").read_text().partition("## Dependencies")[2]
    for each in wanted:
        assert "<" in str(each.specifier), each
        assert each.specifier.contains(locked[canonicalize_name(each.name)]), each
        assert each.name in reasons, each


@pytest.mark.parametrize("package", [*PACKAGES, "loadtest"])
def test_a_folders_readme_names_each_of_its_files_and_folders(package: str) -> None:
    folder = ROOT / package
    text = (folder / "README.md").read_text()
    names = {path.name for path in folder.glob("*.py")} | {f"{path.parent.name}/" for path in folder.glob("*/*.py")}
    assert not [name for name in sorted(names - {"__init__.py", "__pycache__/"}) if name not in text]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
    assert not [link for link in links if "://" not in link and not (path.parent / link).exists()]


def test_every_make_target_that_is_mentioned_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    mentioned = {
        word
        for path in DOCUMENTS
        for word in re.findall(r"^make ([a-z]+)|`make ([a-z]+)", path.read_text(), re.MULTILINE)
    }
    assert {first or second for first, second in mentioned} <= targets
    assert {"demo", "test", "lint", "lock"} <= targets


def quickstart(dev: RunningDev) -> list[str]:
    """The shell blocks of the README's first tenant, with the ports and the token of this run in place of the usual."""
    section = README.partition("## A first tenant")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    usual = {
        "127.0.0.1:8081": f"127.0.0.1:{dev.port('/v1/docs')}",
        "127.0.0.1:8080": f"127.0.0.1:{dev.port('/echo')}",
        "127.0.0.1:9000": f"127.0.0.1:{sample_port(dev)}",
        "the-token-it-printed": dev.token,
    }
    for old, new in usual.items():
        assert old in "".join(blocks), old
        blocks = [block.replace(old, new) for block in blocks]
    return blocks


def sample_port(dev: RunningDev) -> int:
    [sample] = [each for each in dev.family() if "loadtest.origin" in each.cmdline()]
    return next(each.laddr.port for each in sample.net_connections() if each.status == "LISTEN")


def test_the_readmes_first_tenant_works_as_written(tmp_path: Path) -> None:
    portico = tmp_path / ".venv" / "bin" / "portico"
    portico.parent.mkdir(parents=True)
    portico.write_text(f'#!/bin/sh\nexec {sys.executable} -m tenants "$@"\n')
    portico.chmod(portico.stat().st_mode | stat.S_IXUSR)
    with running_dev() as dev:
        said = ["", "", ""]
        blocks = quickstart(dev)
        assert len(blocks) == 3
        # One shell, as the user has: the first block's variables are there in the others.
        said = shell("\necho -----\n".join(blocks), tmp_path).split("-----\n")
        assert re.search(r"shop +created", said[0])
        assert "HTTP/1.1 200 OK" in said[1]
        assert '["X-Portico-Tenant", "shop"]' in said[1]
        assert re.search(r"shop +(changed|updated)", said[2])
        assert re.findall(r"HTTP/1\.1 (\d+)", said[2]) == ["401", "200"]
        assert '["X-Portico-Route", "orders"]' in said[2]
