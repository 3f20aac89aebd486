from __future__ import annotations

import platform

import pytest

from loadtest.interpreter import describe, this_interpreter


@pytest.mark.parametrize(
    ("configured", "told"),
    [
        ("", "Python 3.11.7 (says nothing of PGO or LTO)"),
        ("'--enable-shared' 'LDFLAGS=-L/x -Wl,-rpath,/x'", "Python 3.11.7 (says nothing of PGO or LTO)"),
        ("'--enable-shared' '--enable-optimizations' '--with-lto'", "Python 3.11.7 (PGO and LTO)"),
        ("--with-lto=thin 'CFLAGS=-g --enable-optimizations'", "Python 3.11.7 (LTO)"),
    ],
)
def test_a_python_is_told_by_how_it_was_built(configured: str, told: str) -> None:
    assert describe("3.11.7", configured) == told


def test_this_python_is_described() -> None:
    assert this_interpreter().startswith(f"Python {platform.python_version()} (")
