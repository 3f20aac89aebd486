"""store/model/paths.py: patterns, what they match, and the order in which they are tried."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.paths import canonical_pattern
from store.model.paths import PathKind, PathPattern, SegmentKind

EXACT, PARAMETER, PREFIX, REGEX = PathKind


@pytest.mark.parametrize(
    ("text", "kind", "params"),
    [
        ("/", EXACT, ()),
        ("/v1", EXACT, ()),
        ("/v1/", EXACT, ()),
        ("/a.b/~c/%C3%A9", EXACT, ()),
        ("/.well-known/x", EXACT, ()),
        ("/users/{id}", PARAMETER, ("id",)),
        ("/users/{id:[0-9]+}", PARAMETER, ("id",)),
        (r"/users/{id:\d+}", PARAMETER, ("id",)),
        ("/users/{id:[^/]+}", PARAMETER, ("id",)),
        ("/users/{id:[0-9]{4}}", PARAMETER, ("id",)),
        ("/{a}-{b}.json", PARAMETER, ("a", "b")),
        ("/.{hidden}", PARAMETER, ("hidden",)),
        ("/{a}/{b}", PARAMETER, ("a", "b")),
        ("/*", PREFIX, ()),
        ("/v1/*", PREFIX, ()),
        ("/users/{id}/*", PREFIX, ("id",)),
        ("/{tail:.*}", REGEX, ("tail",)),
        ("/v1/{tail:.+}/edit", REGEX, ("tail",)),
        (r"/{x:\S+}", REGEX, ("x",)),
        ("/{x:[a-z/]+}", REGEX, ("x",)),
        ("/{x:[+-9]}", REGEX, ("x",)),
        ("/{x:[^a]+}/{y}", REGEX, ("x", "y")),
    ],
)
def test_a_pattern_is_of_the_kind_that_it_looks_like(text: str, kind: PathKind, params: tuple[str, ...]) -> None:
    pattern = PathPattern.parse_written(text)
    assert (pattern.text, pattern.kind, pattern.params) == (text, kind, params)


@pytest.mark.parametrize(
    ("text", "path", "found"),
    [
        ("/", "/", {}),
        ("/", "/a", None),
        ("/v1", "/v1", {}),
        ("/v1", "/v1/", None),
        ("/v1", "/V1", None),
        ("/v1/", "/v1/", {}),
        ("/v1/", "/v1", None),
        ("/v1/*", "/v1", {}),
        ("/v1/*", "/v1/", {}),
        ("/v1/*", "/v1/x/y", {}),
        ("/v1/*", "/v10", None),
        ("/v1/*", "/", None),
        ("/*", "/", {}),
        ("/*", "/a/b", {}),
        ("/u/{id}", "/u/7", {"id": "7"}),
        ("/u/{id}", "/u/%C3%A9%20b", {"id": "é b"}),
        ("/u/{id}", "/u/", None),
        ("/u/{id}", "/u", None),
        ("/u/{id}", "/u/7/", None),
        ("/u/{id}", "/u/7/8", None),
        ("/u/{id:[0-9]+}", "/u/42", {"id": "42"}),
        ("/u/{id:[0-9]+}", "/u/4x", None),
        ("/u/{id:[0-9]*}", "/u/", None),
        ("/u/{id:a|b}", "/u/ab", None),
        ("/u/{id:a|b}/x", "/u/b/x", {"id": "b"}),
        ("/{a}-{b}", "/x-y-z", {"a": "x-y", "b": "z"}),
        ("/{a}-{b}", "/-z", None),
        ("/v{n:[0-9]*}", "/v", {"n": ""}),
        ("/{file}.json", "/a.json", {"file": "a"}),
        ("/{file}.json", "/axjson", None),
        ("/u/{id}/*", "/u/7", {"id": "7"}),
        ("/u/{id}/*", "/u/7/x", {"id": "7"}),
        ("/u/{id}/*", "/u/", None),
        ("/u/{id}/*", "/u//", None),
        ("/{tail:.*}", "/", {"tail": ""}),
        ("/{tail:.*}", "/a/b%2C", {"tail": "a/b,"}),
        ("/v1/{tail:.+}/edit", "/v1/a/b/edit", {"tail": "a/b"}),
        ("/v1/{tail:.+}/edit", "/v1/edit", None),
        ("/{x:(?i)[a-c]+}", "/aBc", {"x": "aBc"}),
    ],
)
def test_a_pattern_matches_whole_segments_of_the_raw_path(text: str, path: str, found: dict[str, str] | None) -> None:
    assert PathPattern.parse_written(text).match(path) == found


SYNTAX = [
    ("", "a path begins with '/'"),
    ("v1", "a path begins with '/'"),
    ("*", "a path begins with '/'"),
    ("/" + "a" * 1024, "at most 1024 characters"),
    ("/a//b", "an empty or dot segment"),
    ("//", "an empty or dot segment"),
    ("/a//*", "an empty or dot segment"),
    ("/{a}//{b}", "an empty or dot segment"),
    ("/a/../b", "an empty or dot segment"),
    ("/.", "an empty or dot segment"),
    ("/{a}/..", "an empty or dot segment"),
    ("/../*", "an empty or dot segment"),
    ("/a b", "percent-encode them: '/a b'"),
    ("/é", "percent-encode them: '/é'"),
    ("/a?b", "percent-encode them"),
    ("/a#b", "percent-encode them"),
    ("/a\\b", "percent-encode them"),
    ("/{", "a '{' without its '}'"),
    ("/{a", "a '{' without its '}'"),
    ("/{a:[0-9]{2}", "a '{' without its '}'"),
    ("/a}", "a '}' without its '{'"),
    ("/{a}}", "a '}' without its '{'"),
    ("/{}", "a parameter's name is a word: ''"),
    ("/{1}", "a parameter's name is a word: '1'"),
    ("/{a b}", "a parameter's name is a word: 'a b'"),
    ("/{é}", "a parameter's name is a word"),
    ("/{a:}", "parameter 'a' has an empty constraint"),
    ("/{a}/{a}", "two parameters of the same name"),
    ("/{a:[}", "missing ]"),
    ("/{a:(b)}", "has a group; write (?:...)"),
    ("/{a:(?P<b>c)}", "has a group; write (?:...)"),
    ("/{a:.(b)}", "has a group; write (?:...)"),
    ("/{a:b)(c}", "unexpected )"),
    ("/{a:b)|(?:c}", "unexpected )"),
    ("/{a:(?=b)}", "invalid perl operator"),
    ("/{a:.{1,1000}}", "too large; repeat less"),
    ("/{a:.*}/*", "either a prefix or a regex"),
]
WRITTEN = [
    ("/a*", "a '*' stands only at the end"),
    ("/*/b", "a '*' stands only at the end"),
    ("/a/*.js", "a '*' stands only at the end"),
    ("/**", "a '*' stands only at the end"),
    ("/%7Ea", "write '~' for %7E"),
    ("/%41", "write 'A' for %41"),
    ("/%2F", "%2F is in no path"),
    ("/%5C", "%5C is in no path"),
    ("/%00", "%00 is in no path"),
    ("/%2E%2E", "write '.' for %2E"),
    ("/%c3%a9", "two upper-case hexadecimal digits"),
    ("/100%", "two upper-case hexadecimal digits"),
    ("/%zz", "two upper-case hexadecimal digits"),
    ("/{a:%[0-9A-F]{2}}", r"in a constraint write \x25"),
    ("/;v=1/*", "but for its parameters"),
    ("/a/.%3Bv", "but for its parameters"),
    ("/..;/{id}", "but for its parameters"),
    ("/a/;{v}", "but for its parameters"),
    ("/{a:.*}/.;b", "but for its parameters"),
]


@pytest.mark.parametrize(("text", "words"), SYNTAX)
def test_what_is_no_pattern_is_refused(text: str, words: str) -> None:
    for parse in (PathPattern.parse, PathPattern.parse_written):
        with pytest.raises(ValueError, match=re.escape(words)):
            parse(text)


@pytest.mark.parametrize(("text", "words"), WRITTEN)
def test_a_document_holds_no_pattern_that_means_another_thing_than_it_says(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        PathPattern.parse_written(text)


def test_a_star_or_a_percent_sign_that_is_meant_can_be_written() -> None:
    assert PathPattern.parse_written("/a/{star:[*]}/b").match("/a/*/b") == {"star": "*"}
    assert PathPattern.parse_written(r"/{x:(?:\x25[0-9A-F]{2})+}").match("/%C3%A9") == {"x": "é"}


ESCAPES = st.sampled_from(
    ["a", "~", ".x", "%", "%41", "%7E", "%c3", "%C3", "%2F", "%00", "%5C", "%2e", "%%41", "{x:%}", "{y:[%0-9]}", "{z}"]
)


@given(st.lists(ESCAPES, min_size=1, max_size=5).map(lambda made: "/" + "".join(made)))
def test_a_pattern_that_a_document_may_hold_is_spelt_as_requests_are_matched(text: str) -> None:
    try:
        PathPattern.parse_written(text)
    except ValueError:
        return
    assert canonical_pattern(text) == text


# -- Order ---------------------------------------------------------------------------------------------------------

IN_ORDER = [
    ["/a/b"],
    ["/a/{x:[a-z]+}", "/a/{x}-{y}"],
    ["/a/{x}"],
    ["/{x:[a-z]+}/b"],
    ["/{x}/b"],
    ["/{x}/{y}"],
    ["/a/b/c/*"],
    ["/{x}/{y}/{z}/*"],
    ["/a/b/*"],
    ["/a/{x}/*"],
    ["/{x}/b/*"],
    ["/a/*", "/b/*"],
    ["/{x}/*"],
    ["/*"],
    ["/{x:.*}", "/a/{x:.*}"],
]


def test_patterns_are_ordered_by_kind_then_from_the_left() -> None:
    keys = [[PathPattern.parse(text).sort_key for text in equal] for equal in IN_ORDER]
    assert all(len(set(equal)) == 1 for equal in keys)
    ranks = [equal[0] for equal in keys]
    assert ranks == sorted(ranks)
    # From the left it is the kind of a segment that counts, not its text: patterns of other shapes may share a key.
    assert len(set(ranks)) == len(IN_ORDER)


def test_segments_say_what_they_are() -> None:
    pattern = PathPattern.parse("/a/{b}/c-{d:[0-9]+}")
    assert [segment.kind for segment in pattern.segments] == [
        SegmentKind.STATIC,
        SegmentKind.PLAIN,
        SegmentKind.CONSTRAINED,
    ]
    assert [segment.names for segment in pattern.segments] == [(), ("b",), ("d",)]
    assert pattern.segments[2].match("c-12") == {"d": "12"}
    assert pattern.segments[0].match("b") is None


def test_equal_patterns_are_equal_texts() -> None:
    assert PathPattern.parse("/{a:[0-9]+}") == PathPattern.parse("/{a:[0-9]+}")
    assert PathPattern.parse("/{a}") != PathPattern.parse("/{b}")
    assert len({PathPattern.parse("/{t:.*}"), PathPattern.parse("/{t:.*}")}) == 1


@given(st.text(st.sampled_from("/{}:*ab%.\\[]()?|+0é \x00"), max_size=20))
def test_any_text_is_a_pattern_or_a_value_error(text: str) -> None:
    for parse in (PathPattern.parse, PathPattern.parse_written):
        with contextlib.suppress(ValueError):
            pattern = parse("/" + text)
            assert pattern.text == "/" + text
            assert (pattern.compiled is not None) == (pattern.kind is REGEX)
            assert pattern.match("/nothing/at/all") is None or pattern.kind is not EXACT
