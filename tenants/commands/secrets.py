"""`portico key` and `portico token`: secrets, shown once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tenants.commands.client import Request
from tenants.commands.failures import usage
from tenants.commands.output import OutputFormat, note, show_data, show_fields
from tenants.commands.session import Columns, Output, Tenant, Yes, confirm, format_of, open_client, show_pages
from tenants.commands.writes import Timeout, Wait, report, report_revoked, require_everywhere, wait_query

keys = typer.Typer(help="API keys of a tenant: list, look at, create, revoke.", no_args_is_help=True)
tokens = typer.Typer(help="Tokens for the admin API: list, look at, create, revoke.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, as the list shows it.", show_default=False)]
Name = Annotated[str, typer.Option("--name", "-n", help="What people call it.", show_default=False)]
ExpiresIn = Annotated[
    str | None, typer.Option("--expires-in", metavar="TIME", help="How long it is good for, such as 90d.")
]
ExpiresAt = Annotated[
    str | None, typer.Option("--expires-at", metavar="MOMENT", help="Until when, such as 2030-01-31T12:00:00Z.")
]
Scopes = Annotated[list[str] | None, typer.Option("--scope", help="What its holder may do; repeatable.")]


@keys.command("list")
def list_keys(tenant: Tenant, output: Output = None) -> None:
    """List a tenant's API keys, oldest first."""
    columns: Columns = {
        "id": "id", "name": "name", "scopes": "scopes", "created": "created_at", "last used": "last_used_at",
        "expires": _expiry,
    }  # fmt: skip
    show_pages(("tenants", tenant, "keys"), columns, f"tenant {tenant} has no API keys", output)


@keys.command("get")
def get_key(tenant: Tenant, key_id: Id, output: Output = None) -> None:
    """Look at one API key; its secret is not kept anywhere."""
    _show_one(("tenants", tenant, "keys", key_id), output)


@keys.command("create")
def create_key(  # noqa: PLR0913 - a command's options are its parameters
    tenant: Tenant,
    name: Name,
    expires_in: ExpiresIn = None,
    expires_at: ExpiresAt = None,
    scope: Scopes = None,
    wait: Wait = False,
    timeout: Timeout = None,
    output: Output = None,
) -> None:
    """Create an API key and show its secret, this once."""
    body = _body(name, expires_in, expires_at) | ({"scopes": scope} if scope else {})
    query, extra_s = wait_query(wait=wait, timeout=timeout)
    with open_client() as client:
        answer = client.send(Request("POST", ("tenants", tenant, "keys"), query, body, extra_s=extra_s)).body
    _show_created(answer, output)
    require_everywhere(answer)


@keys.command("revoke")
@keys.command("delete")
def delete_key(
    tenant: Tenant,
    key_id: Id,
    wait: Wait = False,
    timeout: Timeout = None,
    yes: Yes = False,
    output: Output = None,
) -> None:
    """Revoke an API key; with --wait, until no worker takes it any more."""
    query, extra_s = wait_query(wait=wait, timeout=timeout)
    confirm(f"Revoke key {key_id} of {tenant}?", yes=yes)
    with open_client() as client:
        answer = client.send(Request("DELETE", ("tenants", tenant, "keys", key_id), query, extra_s=extra_s)).body
    report_revoked(answer, f"key {key_id}", output)


@tokens.command("list")
def list_tokens(output: Output = None) -> None:
    """List the tokens for the admin API, oldest first."""
    columns: Columns = {
        "id": "id", "name": "name", "kind": "kind", "tenant": "tenant", "created": "created_at", "expires": _expiry
    }  # fmt: skip
    show_pages(("tokens",), columns, "there are no tokens", output)


@tokens.command("get")
def get_token(token_id: Id, output: Output = None) -> None:
    """Look at one token; its secret is not kept anywhere."""
    _show_one(("tokens", token_id), output)


@tokens.command("create")
def create_token(
    name: Name,
    tenant: Annotated[str | None, typer.Option("--tenant", help="The one tenant that it reaches.")] = None,
    operator: Annotated[bool, typer.Option("--operator", help="An operator's token: it reaches everything.")] = False,
    expires_in: ExpiresIn = None,
    expires_at: ExpiresAt = None,
    output: Output = None,
) -> None:
    """Create a token and show its secret, this once."""
    if operator == (tenant is not None):
        raise usage("say whose token it is: --tenant TENANT, or --operator")
    body = _body(name, expires_in, expires_at)
    if tenant is not None:
        body["tenant"] = tenant
    if operator:
        body["kind"] = "operator"
    with open_client() as client:
        answer = client.send(Request("POST", ("tokens",), body=body)).body
    _show_created(answer, output)


@tokens.command("revoke")
@tokens.command("delete")
def delete_token(token_id: Id, yes: Yes = False, output: Output = None) -> None:
    """Revoke a token, at once."""
    confirm(f"Revoke token {token_id}?", yes=yes)
    with open_client() as client:
        answer = client.send(Request("DELETE", ("tokens", token_id))).body
    report(answer, f"token {token_id} revoked", output)


def _body(name: str, expires_in: str | None, expires_at: str | None) -> dict[str, Any]:
    given = {"name": name, "expires_in": expires_in, "expires_at": expires_at}
    return {field: value for field, value in given.items() if value is not None}


def _show_one(path: tuple[str, ...], output: OutputFormat | None) -> None:
    with open_client() as client:
        found = client.send(Request("GET", path)).body
    shown = format_of(output)
    if shown is OutputFormat.TABLE:
        show_fields(
            {name: value for name, value in found.items() if name != "expired"} | {"expires_at": _expiry(found)}
        )
    else:
        show_data(found, shown)


def _show_created(answer: Mapping[str, Any], output: OutputFormat | None) -> None:
    shown = format_of(output)
    if shown is not OutputFormat.TABLE:
        show_data(answer, shown)
        return
    names = ("id", "name", "kind", "tenant", "scopes", "expires_at", "secret")
    shown_fields = {**answer, "expires_at": _expiry(answer)}
    show_fields({name: shown_fields[name] for name in names if name in shown_fields})
    note("keep the secret: it is shown this once and stored nowhere")


def _expiry(one: Mapping[str, Any]) -> str:
    if one["expires_at"] is None:
        return "never"
    return f"{one['expires_at']} (expired)" if one["expired"] else str(one["expires_at"])
