"""The sizes that keep code readable. A number here is the most that is ever accepted, not a goal."""

from __future__ import annotations

import ast
import re

import pytest

from tests.fakes.source import PACKAGES, ROOT, Module, modules

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 5  # besides self
MAX_NESTING = 3

# Signatures that others fixed: the toolkit's documents, and aiohttp's base classes.
FIXED_SIGNATURES = {"edge.proxy.HTTPProxyHandler.__init__", "edge.router.DynamicRouter.add_handler"}

EVERYTHING = modules(*PACKAGES, "loadtest", "tests")
CODE = modules(*PACKAGES, "loadtest")
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.TryStar, ast.Match)  # `with` asks nothing


def test_no_file_is_longer_than_a_reader_can_keep_in_mind() -> None:
    assert not [f"{module.path}: {module.lines}" for module in EVERYTHING if module.lines > MAX_FILE_LINES]


def test_no_function_is_longer_than_a_screen() -> None:
    long = []
    for module in EVERYTHING:
        for name, function in module.functions():
            length = (function.end_lineno or 0) - function.lineno + 1
            if length > MAX_FUNCTION_LINES:
                long.append(f"{module.name}.{name}: {length}")
    assert not long


def test_no_function_takes_more_than_five_parameters_besides_self() -> None:
    many = [
        f"{module.name}.{name}: {parameters(function)}"
        for module in CODE
        for name, function in module.functions()
        if parameters(function) > MAX_PARAMETERS
        and f"{module.name}.{name}" not in FIXED_SIGNATURES
        and not is_command(module, name)
    ]
    assert not many


def test_no_branch_is_nested_deeper_than_three() -> None:
    deep = [
        f"{module.name}.{name}: {nesting(function)}"
        for module in CODE
        for name, function in module.functions()
        if nesting(function) > MAX_NESTING
    ]
    assert not deep


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_docstring(package: str) -> None:
    missing = []
    for module in modules(package):
        if module.tree.body and not ast.get_docstring(module.tree):
            missing.append(module.path)
        missing += [f"{module.path}: {name}" for name in undocumented(module)]
    assert not missing


def undocumented(module: Module) -> list[str]:
    """Name the public functions, classes and methods without a docstring; protocols' and overriding ones excepted."""
    names = []
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and is_public(node.name):
            names += [] if ast.get_docstring(node) else [node.name]
        if isinstance(node, ast.ClassDef) and is_public(node.name) and not is_derived(node):
            names += [
                f"{node.name}.{each.name}"
                for each in node.body
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
                and is_public(each.name)
                and not ast.get_docstring(each)
                and not re.search(r"overload|\.setter", " ".join(map(ast.unparse, each.decorator_list)))
            ]
    return names


def is_public(name: str) -> bool:
    return not name.startswith("_")


def is_derived(node: ast.ClassDef) -> bool:
    return bool(node.bases)


def is_command(module: Module, name: str) -> bool:
    """Say whether the parameters are the options of a command line: typer reads them off the signature."""
    return is_public(name) and any(target == "typer" for _, target in module.imports())


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    names = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([each for each in names if each.arg not in {"self", "cls"}])


def nesting(node: ast.AST) -> int:
    """Count the branches inside each other; an elif is at the level of its if, a nested function on its own account."""
    depth = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child.col_offset == node.col_offset
        depth = max(depth, nesting(child) - is_elif)
    return depth + isinstance(node, BRANCHES)


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("if a:\n pass\nelif b:\n pass\nelse:\n if c:\n  pass", 1 + 1),
        ("for a in b:\n with c:\n  if d:\n   while e:\n    pass", 3),
        ("if a:\n def f():\n  if b:\n   pass", 1),
        ("a = [b for b in c if d]", 0),
    ],
)
def test_the_measure_of_nesting_measures_nesting(text: str, depth: int) -> None:
    assert nesting(ast.parse(text)) == depth


TEXT_FILES = [
    path
    for pattern in ("*.md", "*.toml", "*.lock", "Makefile", ".ci/run", "**/*.py", "**/*.lua", "**/*.md", "deploy/*")
    for path in ROOT.glob(pattern)
    if path.is_file() and not any(part.startswith(".") and part != ".ci" for part in path.relative_to(ROOT).parts)
]


def test_nothing_names_a_place_on_somebodys_machine_or_a_package_index() -> None:
    word = re.compile(
        r"/(?:home|root|opt|work|mnt)/\w+|(?:pypi|files\.pythonhosted)\.org|(?<!no-emit-)(?:index-url|find-links)"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in TEXT_FILES
        if path.name != "test_gates.py"
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if word.search(line)
    ]
    assert not found


def test_the_lock_has_a_hash_for_every_package() -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements.lock").read_text())
    packages = [block for block in blocks if re.match(r"[a-z0-9-]+==", block)]
    assert len(packages) > 30
    assert not [block.splitlines()[0] for block in packages if "--hash=sha256:" not in block]
