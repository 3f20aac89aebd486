"""store/model/regexes.py and automata.py: what is said of expressions without trying them, and RE2 as the judge."""

from __future__ import annotations

import re
import warnings
from itertools import product

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from store.model.automata import MAX_NESTING, Automaton, automaton_of
from store.model.characters import EVERYTHING, bit_of, bits
from store.model.regexes import Steps, are_disjoint, can_match_slash, compile_regex


def steps() -> Steps:
    return Steps(100_000)


@pytest.mark.parametrize(
    "expression",
    [
        ".*", "a/b", "[+-9]", r"\S+", "[a-z/]+", "[^a]+", r"[^\d]", r"\D", r"\W", r"\x2f", r"\x{2F}", r"\/",
        "[!-~]", r"[\/]",
        "(?:a|/)", "[[:punct:]]", "[^[:alpha:]]", "(?s).", r"\pP", r"\PL", "[]/]", r"[\S]", "a(?:b/)?", "(?i)/",
        r"\Q/\E", r"\QA\E", "[a-z]{2}/", "[%-@]",
    ],
)  # fmt: skip
def test_an_expression_that_matches_a_slash_is_never_cleared(expression: str) -> None:
    assert can_match_slash(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "[^/]+", r"\d+", "[0-9]{4}", r"\w+", "[a-z0-9-]+", r"[^\/]*", r"[^/?]+", "[+-]", "[a+-]", r"[^\S]",
        "(?:a|b)+", "abc", r"\s",
        "[[:alnum:]]+", r"[\w.-]+", r"\.", "^[a-z]$", r"\bword\b", "(?i)[a-z]+", "(?i:abc)", "[^]/]", r"a{2,5}",
        "x{", "[^!-/]", r"[^\x2f]",
        r"\x{20}", r"\Aa\z", "v[0-9]+(?:-(?:alpha|beta))?", "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}",
    ],
)  # fmt: skip
def test_an_expression_without_a_slash_stays_a_parameter(expression: str) -> None:
    assert not can_match_slash(expression)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[0-9]+", "[a-z]+"),
        ("[0-9]+", "[a-z][a-z0-9]*"),
        ("a", "b"),
        ("a|b", "c|d"),
        ("(?P<x>[0-9]+)", "(?P<y>[a-z]+)"),
        (r"(?P<id>[0-9]+)\.json", r"(?P<id>[0-9]+)\.xml"),
        ("v1-.*", "v2-.*"),
        ("/(?P<tail>.*)/edit", "/(?P<tail>.*)/view"),
        ("[a-y]*z", "[a-z]*a"),
        (r"\d+", r"\D+"),
        ("(?i)abc", "abd"),
        ("(?i:a)b", "aB"),
        ("x*y", "x*z"),
        ("[[:upper:]]+", "[[:lower:]]+"),
        ("a?b", "c"),
        ("[0-9]{4}-[0-9]{2}", "[0-9]+"),
        ("(?:ab)+", "(?:ab)+a"),
        ("a", "aa"),
        ("", "a"),
    ],
)
def test_expressions_that_share_no_text_are_told_apart(one: str, other: str) -> None:
    assert are_disjoint(one, other, steps())
    assert are_disjoint(other, one, steps())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[0-9]+", "[5-9a-z]+"),
        ("[0-9]+", r"\w+"),
        (".*", "x"),
        ("a|b", "b|c"),
        ("(?i)ABC", "abc"),
        ("(?i)k", "\N{KELVIN SIGN}"),
        ("(?i)\N{KELVIN SIGN}", "k"),
        ("(?i)(?-i:a)b", "aB"),
        ("[^a]", "b"),
        ("[^a]", "é"),
        ("é", "[à-ü]"),
        ("a?b", "b"),
        ("(?:a|b(?:c|d))*e", "bde"),
        ("a{0}b", "b"),
        ("[]a]", "]"),
        ("b[](]|a", "a"),
        ("b[[:alpha:](]|a", "a"),
        (r"a\Q(\E|b", "b"),
        (r"\bab", "ab"),
        ("(?-i:a)", "a"),
        ("(?i)a(?-i)b", "Ab"),
    ],
)
def test_expressions_that_share_a_text_are_never_called_disjoint(one: str, other: str) -> None:
    assert not are_disjoint(one, other, steps())
    assert not are_disjoint(other, one, steps())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[0-9]{3}", "[0-9]{4}"),  # counts are rounded up
        (r"\Qab\E", "c"),
        ("a?" * 60, "b"),
        ("(?:" * 50 + "a" + ")" * 50, "b"),
    ],
)
def test_a_doubt_is_not_a_no(one: str, other: str) -> None:
    assert not are_disjoint(one, other, steps())


def test_a_comparison_gives_up_when_the_steps_are_used_up() -> None:
    budget = Steps(3)
    assert not are_disjoint("[a-z]*[0-9]x", "[a-z]*[0-9]y", budget)
    assert budget.are_used_up
    assert are_disjoint("[a-z]*[0-9]x", "[a-z]*[0-9]y", steps())


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("[", "missing ]"),
        ("(a", "missing )"),
        ("a**", "bad repetition"),
        ("(?=a)", "invalid perl operator"),
        (r"(a)\1", "invalid escape sequence"),
        (".{1,1000}", "too large; repeat less"),
        (r"(?:\pL{1,100}){1,10}", "too large; repeat less"),
        ("a{1001}", "invalid repetition size"),
    ],
)
def test_what_re2_does_not_take_is_refused_with_its_reason(expression: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        compile_regex(expression)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "expression",
    [
        "[a-z0-9-]{1,255}",
        "[^/]{1,200}",
        "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "|".join(f"word{n}" for n in range(120)),
    ],
)
def test_what_people_write_is_within_the_bounds(expression: str) -> None:
    assert compile_regex(expression).pattern == expression


def test_a_long_alternation_stays_a_parameter_and_is_compared() -> None:
    words = "|".join(f"word{n}" for n in range(120))
    assert not can_match_slash(words)
    assert are_disjoint(words, "other|nothing", steps())
    assert not are_disjoint(words, "word119", steps())


@pytest.mark.parametrize(
    ("expression", "start", "end"),
    [
        ("abc", "abc", "abc"),
        ("v1-[0-9]+", "v1-", ""),
        (r"[0-9]+\.json", "", ".json"),
        ("/p0/(?P<t>.*)/edit", "/p0/", "/edit"),
        ("ab?c", "a", "c"),
        ("ab|ac", "a", ""),
        ("(?:ab)+", "ab", "ab"),
        ("a*", "a", "a"),
        ("(?i)ab", "", ""),
        ("é", "", ""),
        ("x" * 70, "x" * 64, "x" * 64),
    ],
)
def test_the_text_that_every_match_begins_and_ends_with(expression: str, start: str, end: str) -> None:
    automaton = known(expression)
    assert (automaton.literal_start, automaton.literal_end) == (start, end)


def test_first_characters_look_past_what_can_be_left_out() -> None:
    assert known("a?b*[cd]").first_characters == bit_of("a") | bit_of("b") | bit_of("c") | bit_of("d")
    assert known("[^a]").first_characters == EVERYTHING & ~bit_of("a")


@pytest.mark.parametrize(
    "expression", ["(", ")", "a)", "[a", "\\", "*a", "(?<a", "[z-\\d]", "(?P>a)", "[[:nope:]]", r"\1", "a\\"]
)
def test_what_is_no_expression_is_not_read_as_one(expression: str) -> None:
    assert automaton_of(expression) is None


def test_reading_is_bounded_in_depth_and_in_links() -> None:
    assert automaton_of("(" * MAX_NESTING + "a" + ")" * MAX_NESTING) is not None
    assert automaton_of("(" * (MAX_NESTING + 1) + "a" + ")" * (MAX_NESTING + 1)) is None
    assert automaton_of("a?" * 500) is None
    assert automaton_of("abcd" * 250) is not None


# -- Against RE2 ---------------------------------------------------------------------------------------------------

LETTERS = "ab/09-.(|]kKé\N{KELVIN SIGN} "
TEXTS = ["".join(letters) for length in range(1, 4) for letters in product(LETTERS, repeat=length)]
ATOMS = [
    "a", "b", "/", ".", "k", "é", "[ab]", "[^/]", "[^a]", r"\d", r"\D", r"\s", r"\S", r"\w", r"\W", "[+-9]",
    "[]|a]", "[^]/]", "[a-]",
    "[[:alpha:](]", "[^[:punct:]]", r"[\w-]", r"[^\S]", r"[\x21-\x7e]", "[à-ü]", "[^é]", "(?i)k", "(?i:k)",
    "(?-i:k)", "(?i)[^k]",
    r"\x2f", r"\x{e9}", r"\.", r"\/", "^", "$", r"\b", r"\B", r"\pL", r"\PL", r"\Q|\E", "(?:)", "{",
]  # fmt: skip
QUANTIFIERS = ["*", "+", "?", "*?", "{0}", "{1}", "{2}", "{0,1}", "{0,2}", "{1,3}", "{2,}"]


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("(?:{}|{})".format, inner, inner),
        st.builds("{}|{}".format, inner, inner),
        st.builds("(?:{}){}".format, inner, st.sampled_from(QUANTIFIERS)),
    )


EXPRESSIONS = st.recursive(st.sampled_from(ATOMS), _larger, max_leaves=6)


def known(expression: str) -> Automaton:
    automaton = automaton_of(expression)
    assert automaton is not None
    return automaton


def matched(expression: str) -> set[str]:
    options = re2.Options()
    options.log_errors = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = re2.compile(expression, options=options)
    return {text for text in TEXTS if compiled.fullmatch(text) is not None}


@given(EXPRESSIONS)
def test_no_match_has_a_slash_where_can_match_slash_says_no(expression: str) -> None:
    if not can_match_slash(expression):
        assert not [text for text in matched(expression) if "/" in text]


@given(EXPRESSIONS, EXPRESSIONS)
def test_no_text_matches_both_of_two_expressions_called_disjoint(one: str, other: str) -> None:
    if are_disjoint(one, other, steps()):
        assert not matched(one) & matched(other)


@given(EXPRESSIONS)
def test_every_match_begins_and_ends_as_the_automaton_says(expression: str) -> None:
    automaton = automaton_of(expression)
    for text in matched(expression) if automaton else ():
        assert automaton is not None
        assert automaton.first_characters & bit_of(text[0])
        assert text.startswith(automaton.literal_start)
        assert text.endswith(automaton.literal_end)


@given(st.integers(min_value=0, max_value=2**130))
def test_bits_are_given_lowest_first(mask: int) -> None:
    assert sum(1 << place for place in bits(mask)) == mask
    assert list(bits(mask)) == sorted(bits(mask))
