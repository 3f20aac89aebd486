"""store/model/passwords.py: hashes that are neither too weak nor too costly, and nothing else."""

from __future__ import annotations

import pytest

from store.model import parse_document
from store.model.passwords import check_password_hash
from tests.store.model.documents import document, faults_in

SALT, HASH = "c29tZXNhbHRzb21lc2FsdA", "A" * 43


def argon2id(memory_kib: object = 65536, passes: object = 3, lanes: object = 4) -> str:
    return f"$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${SALT}${HASH}"


@pytest.mark.parametrize(
    "text",
    [
        argon2id(),
        argon2id(19456, 2, 1),
        argon2id(47104, 1, 1),
        argon2id(7168, 5, 1),
        argon2id(131072, 2, 4),
    ],
)
def test_the_choices_of_owasp_and_of_rfc_9106_pass(text: str) -> None:
    assert check_password_hash(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (argon2id(4096, 10, 1), "too cheap"),
        (argon2id(7168, 4, 1), "too cheap"),
        (argon2id(19456, 1, 1), "too cheap"),
        (argon2id(131073, 1, 1), "too much"),
        (argon2id(1 << 29, 1, 1), "too much"),
        (argon2id(24576, 11, 1), "too much"),
        (argon2id(65536, 5, 1), "too much"),
        (argon2id(65536, 3, 5), "too much"),
        (argon2id(0, 3, 1), "expected an argon2id"),
        (argon2id("65536,m=1", 3, 1), "expected an argon2id"),
        (argon2id().replace("argon2id", "argon2i"), "expected an argon2id"),
        (argon2id().replace("v=19", "v=16"), "expected an argon2id"),
        (argon2id().replace(SALT, SALT[:8]), "expected an argon2id"),
        (argon2id().replace(SALT, SALT + "AAA"), "expected an argon2id"),
        (argon2id().replace(HASH, HASH[:16]), "expected an argon2id"),
        (argon2id().replace(HASH, HASH + "=="), "expected an argon2id"),
        (argon2id() + "\n", "expected an argon2id"),
        ("$2b$12$C6UzMDM.H6dfI/f/IKcEeO7ZcAbHcQ3Cwk1l8l6QZ6bXEwC5wq8Gq", "expected an argon2id"),
        ("correct horse battery staple", "expected an argon2id"),
        ("", "expected an argon2id"),
    ],
)
def test_what_is_no_argon2id_or_weak_or_costly_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        check_password_hash(text)
    assert not text or text not in str(caught.value)


def test_a_document_with_a_plain_password_is_refused_by_its_place_and_the_password_is_not_repeated() -> None:
    raw = document(auth={"staff": {"type": "basic", "users": {"ann": "hunter2", "bob": argon2id()}}})
    [line] = faults_in(raw)
    assert line.startswith("auth.staff.users.ann: expected an argon2id hash")
    assert "hunter2" not in line


REALM = "auth.staff.realm: a realm is 1 to 128 printable characters of ASCII"


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"users": {}}, "auth.staff.users: expected at least one"),
        ({"users": {"a:b": argon2id()}},
         "auth.staff.users['a:b']: a colon cannot be in a user's name: before a password it ends the name"),
        ({"users": {"": argon2id()}}, "auth.staff.users['']: a user's name is 1 to 128 characters long"),
        ({"users": {"a\tb": argon2id()}},
         "auth.staff.users['a\\tb']: a user's name has no line break and no other control character"),
        ({"users": {"ann": argon2id()}, "realm": "caf\u00e9"}, REALM),
        ({"users": {"ann": argon2id()}, "realm": "a\nb"}, REALM),
        ({"users": {"ann": argon2id()}, "realm": ""}, REALM),
    ],
)  # fmt: skip
def test_names_and_realms_are_such_as_a_client_can_be_told_and_can_send(fields: dict[str, object], line: str) -> None:
    assert faults_in(document(auth={"staff": {"type": "basic", **fields}})) == [line]


@pytest.mark.parametrize("name", ["ann@acme.com", "Ann Other", "größe", "x" * 128])
def test_a_users_name_may_be_any_text_without_a_colon(name: str) -> None:
    parse_document(document(auth={"staff": {"type": "basic", "users": {name: argon2id()}, "realm": "Acme & Co."}}))
