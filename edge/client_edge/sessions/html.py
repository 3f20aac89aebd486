"""The few pages that the edge shows to people: after a logout, before one that is in doubt, and when a login fails."""

from __future__ import annotations

from html import escape

from edge.message import ProxyResponse

PAGE_FIELDS = (
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("Referrer-Policy", "same-origin"),  # without one a browser would not say where its form was sent from
    ("X-Content-Type-Options", "nosniff"),
)
_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;color:#1a1a1a;background:#f6f6f4;display:grid;place-items:center;"
    "min-height:100vh;margin:0}main{background:#fff;border:1px solid #ddd;border-radius:8px;padding:2rem;"
    "max-width:26rem;margin:1rem}h1{font-size:1.25rem;margin:0 0 .5rem}p{margin:0 0 1.25rem}"
    "small{color:#666;overflow-wrap:anywhere}a,button{display:inline-block;font:inherit;color:#fff;background:#1f4f8f;"
    "border:0;border-radius:6px;padding:.5rem 1rem;text-decoration:none;cursor:pointer}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#181818}main{background:#222;border-color:#444}"
    "small{color:#aaa}}"
)


def render(title: str, text: str, action: str = "", small: str = "") -> str:
    """Write a page; `action` is HTML already, the rest is text."""
    note = f"<p><small>{escape(small)}</small></p>" if small else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1><p>{escape(text)}</p>{note}{action}</main></body></html>"
    )


def link(address: str, text: str) -> str:
    """Write a link to an address of the same host."""
    return f'<a href="{escape(address)}">{escape(text)}</a>'


def button(address: str, text: str) -> str:
    """Write a button that posts to an address of the same host."""
    return f'<form method="post" action="{escape(address)}"><button>{escape(text)}</button></form>'


def page(html: str, status: int = 200) -> ProxyResponse:
    """Make an answer of a page."""
    return ProxyResponse.of(status, [("Content-Type", "text/html; charset=utf-8"), *PAGE_FIELDS], html.encode())
