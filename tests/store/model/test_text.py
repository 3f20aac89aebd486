"""store/model/text.py: YAML and JSON as documents come in, strictly, and where it is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from store.model import text as text_module
from store.model.faults import DocumentError
from store.model.text import MAX_DEPTH, load_yaml_documents


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("", []),
        ("# nothing\n---\n", []),
        ("tenant: acme", [{"tenant": "acme"}]),
        ("\ufefftenant: acme", [{"tenant": "acme"}]),
        ("---\na: 1\n---\n---\nb: 2\n...\n", [{"a": 1}, {"b": 2}]),
        ('{"a": [1, 2.5, true, null, "x"]}', [{"a": [1, 2.5, True, None, "x"]}]),
        ('{\n\t"a":\t[\n\t\t1\n\t]\n}', [{"a": [1]}]),
        ('{"a": 1}\n---\n{"b": 2}', [{"a": 1}, {"b": 2}]),
        ("{a: 1, b: [x, y]}", [{"a": 1, "b": ["x", "y"]}]),
        ("[1, 2]", [[1, 2]]),
        ("text", ["text"]),
        ("retry: {attempts: 1, on: [connect]}", [{"retry": {"attempts": 1, "on": ["connect"]}}]),
        ("on: 1\noff: 2\nyes: 3\nno: 4", [{"on": 1, "off": 2, "yes": 3, "no": 4}]),
        ("a: |\n  two\n  lines\n", [{"a": "two\nlines\n"}]),
        ('"*.acme.app": "1"', [{"*.acme.app": "1"}]),
        ("a: !!str 5", [{"a": "5"}]),
    ],
)
def test_yaml_and_json_are_read(text: str, documents: list[Any]) -> None:
    assert load_yaml_documents(text) == documents


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("true", True), ("FALSE", False), ("True", True), ("yes", "yes"), ("off", "off"), ("tRUE", "tRUE"),
        ("null", None), ("~", None), ("", None), ("none", "none"),
        ("1", 1), ("-7", -7), ("010", 10), ("0o10", "0o10"), ("08", "08"), ("+5", 5), ("0x1F", 31),
        ("1_000", "1_000"), ("12:30", "12:30"),
        ("1.5", 1.5), (".5", 0.5), ("1e3", "1e3"), ("1.0e+3", 1000.0), ("-.5", "-.5"), ("-.inf", float("-inf")),
        ("1.2.3", "1.2.3"), ("0b1", "0b1"),
        ("2021-01-01", "2021-01-01"), ("2021-01-01T10:00:00Z", "2021-01-01T10:00:00Z"), ("=", "="), ("2s", "2s"),
        ("10MiB", "10MiB"), ("100/s", "100/s"), ("/v1/*", "/v1/*"), ("http://10.0.0.5:9000", "http://10.0.0.5:9000"),
    ],
)  # fmt: skip
def test_words_are_those_that_yaml_1_1_and_1_2_agree_upon(word: str, value: object) -> None:
    (document,) = load_yaml_documents(f"a: {word}")
    assert document == {"a": value}
    assert type(document["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the field 'a' stands twice"),
        ("r:\n- {x: 1, y: 2, x: 1}", "line 2, column 16: the field 'x' stands twice"),
        ('{"a": 1,\n "a": 2}', "line 2, column 2: the field 'a' stands twice"),
        ('{\n\t"a": 1,\n\t"a": 2\n}', "line 3, column 2: the field 'a' stands twice"),

        ("a: &x 1\nb: *x", "line 2, column 4: aliases (*name) are not accepted; a text that begins with '*' is quoted"),
        ("a: &x [*x]", "line 1, column 8: aliases (*name) are not accepted; a text that begins with '*' is quoted"),
        ("domains:\n  - *.acme.app", "line 2, column 6: a text that begins with '*' is quoted"),
        ("1: x", "line 1, column 1: the field name 1 is not text: quote it"),
        ("true: x", "line 1, column 1: the field name True is not text: quote it"),
        ("? [a]\n: x", "line 1, column 3: the field name ['a'] is not text: quote it"),
        ("a:\n\tb: 1", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("a: [1\nb: 2", "line 2, column 2: expected ',' or ']', but got ':'"),
        ("a: 'x", "line 1, column 6: found unexpected end of stream"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed here"),
        ("a: %x", "line 1, column 4: found character '%' that cannot start any token"),
        ('{"a": 1} x', "line 1, column 10: expected '<document start>', but found '<scalar>'"),
        ('a: 1\n"\0"', "line 2, column 2: a character that no text has"),
        ("\ud800", "line 1, column 1: a character that no text has"),
        ("%YAML 9.9\n---\na", "line 1, column 1: found incompatible YAML document (version 1.* is required)"),
        ("a: !!python/name:os.system x", "line 1, column 4: the tag !!python/name:os.system is not accepted"),
        ("a: !!timestamp x", "line 1, column 4: the tag !!timestamp is not accepted"),
        ("a: !!binary x", "line 1, column 4: the tag !!binary is not accepted"),
        ("a: !!set {b}", "line 1, column 4: the tag !!set is not accepted"),
        ("a: !secret b", "line 1, column 4: the tag !secret is not accepted"),
        ("a: !!bool maybe", "line 1, column 4: 'maybe' is no bool"),
        ("a: !!int x", "line 1, column 4: 'x' is no int"),
        ("a: !!map [1]", "line 1, column 4: expected a mapping"),
        ("a: " + "1" * 5000, "line 1, column 4: a number of too many digits"),
        ("[" * 33 + "]" * 33, "line 1, column 33: nested deeper than 32 levels"),
        ('{"a":' * 33 + "1" + "}" * 33, "line 1, column 157: nested deeper than 32 levels"),
        ("[" * 100_000, "line 1, column 33: nested deeper than 32 levels"),
    ],
)  # fmt: skip
def test_what_is_not_yaml_is_refused_with_line_and_column(text: str, fault: str) -> None:
    with pytest.raises(DocumentError) as caught:
        load_yaml_documents(text)
    assert [str(each) for each in caught.value.faults] == [fault]


def test_depth_is_bounded_in_json_as_in_yaml() -> None:
    deepest = "[" * (MAX_DEPTH - 1) + "1" + "]" * (MAX_DEPTH - 1)
    assert load_yaml_documents(deepest) == load_yaml_documents(f"- {deepest[1:-1]}")
    for text in (f"[{deepest}]", f"- {deepest}"):
        with pytest.raises(DocumentError, match="nested deeper"):
            load_yaml_documents(text)


def test_a_merge_key_is_a_field_like_any_other() -> None:
    assert load_yaml_documents("<<: {a: 1}\nb: 2") == [{"<<": {"a": 1}, "b": 2}]


def test_a_json_constant_that_json_has_not_is_text() -> None:
    assert load_yaml_documents('{"a": NaN}') == [{"a": "NaN"}]


def test_a_text_that_is_too_long_is_not_read_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "MAX_TEXT_LENGTH", 10)
    assert load_yaml_documents("a: 3456789") == [{"a": 3456789}]
    with pytest.raises(DocumentError, match="longer than 10 characters"):
        load_yaml_documents("a: 34567890")


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
# Not the line breaks beyond ASCII: PyYAML writes them bare, and reads them as what they are.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Zl", "Zp"], exclude_characters="\x85"), max_size=8)
VALUES = st.recursive(
    LEAVES | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)


@given(st.dictionaries(TEXT, VALUES, max_size=4), st.sampled_from([None, 2, "\t"]))
def test_json_means_in_yaml_what_it_means_in_json(document: dict[str, Any], indent: int | str | None) -> None:
    assert load_yaml_documents(json.dumps(document, indent=indent)) == [document]


@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=4), st.booleans())
def test_what_pyyaml_writes_is_read_back(document: dict[str, Any], is_flow: bool) -> None:
    written = yaml.safe_dump(document, default_flow_style=is_flow, allow_unicode=True)
    assert load_yaml_documents(written) == [document]


@given(st.text(st.sampled_from("ab01-:,#&*!|>%@'\"{}[]?~=<. \n\t\0\ud800"), max_size=40))
def test_any_text_is_documents_or_a_document_error(text: str) -> None:
    try:
        documents = load_yaml_documents(text)
    except DocumentError as error:
        faults = error.faults
    else:
        faults = ()
        assert None not in documents
    assert len(faults) <= 1
    assert all(fault.message for fault in faults)
