"""A person logs in, end to end: Chromium, an edge node as an operator runs it, a real OpenID provider, a real Redis."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

import pytest
import pytest_asyncio
import redis
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page, expect

from loadtest.node import put_tenant, running_node
from store.catalog import KEEP, Catalog, Change
from store.client import Client, connect
from store.embedded import RedisProcess
from store.fleet import Fleet
from store.sessions import Revocations
from tests.fakes.chromium import chromium
from tests.fakes.openid import CLIENT_ID, LOGOUT_TITLE, RunningProvider, running_provider
from tests.fakes.visitors import LOGIN, LOGOUT, SECRETS, answered, document
from tests.fakes.waiting import until

SHOP, NEIGHBOUR = "shop.localhost", "evil.shop.localhost"
LOGIN_FORM = "Who are you?"

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one browser and one node for all of them


@dataclass
class Shop:
    """A tenant's application: it shows who calls, and notes what is done in whose name."""

    port: int = 0
    done_by: list[str] = field(default_factory=list)

    async def page(self, request: web.Request) -> web.Response:
        who, cookies = request.headers.get("X-Portico-Subject", "nobody"), request.headers.get("Cookie", "")
        body = f"<title>Shop</title><h1>Hello {escape(who)}</h1><p id=cookies>{escape(cookies)}</p>"
        answer = web.Response(text=f"{body}<form method=post action=/act><button>Act</button></form>")
        answer.content_type = "text/html"
        answer.set_cookie("theirs", "1")
        return answer

    async def act(self, request: web.Request) -> web.Response:
        self.done_by.append(request.headers.get("X-Portico-Subject", "nobody"))
        return web.Response(text="done")

    async def evil(self, request: web.Request) -> web.Response:
        form = f'<form method=post action="http://{request.query["at"]}/act"><button>A prize</button></form>'
        return web.Response(text=f"<title>Prizes</title>{form}", content_type="text/html")

    async def web_socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(request.headers.get("X-Portico-Subject", "nobody"))
        await socket.close()
        return socket


@asynccontextmanager
async def running_shop() -> AsyncIterator[Shop]:
    shop, app = Shop(), web.Application()
    app.add_routes([web.get("/ws", shop.web_socket), web.post("/act", shop.act), web.get("/evil", shop.evil)])
    app.router.add_get("/{rest:.*}", shop.page)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        shop.port = runner.addresses[0][1]
        yield shop
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module")
def one_provider() -> Iterator[RunningProvider]:
    with running_provider() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@dataclass
class House:
    """A node with two tenants before one application: the shop's, where one logs in, and a neighbour's, open."""

    port: int
    shop: Shop
    client: Client
    redis_url: str

    def at(self, path: str, host: str = SHOP) -> str:
        return f"http://{host}:{self.port}{path}"

    async def put(self, document: dict[str, Any]) -> None:
        """Write a tenant, and wait until its edge serves it."""
        revision = await put_tenant(Catalog(self.client), document)
        async with asyncio.timeout(10):
            await Fleet(self.client).wait(revision, 10)

    async def put_shop(self, **login: Any) -> None:
        await self.put(document(f"http://127.0.0.1:{self.shop.port}", **login))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_house(
    browser: Browser, redis_server: RedisProcess, one_provider: RunningProvider
) -> AsyncIterator[House]:
    env = {**SECRETS, "PORTICO_OIDC_ISSUER": one_provider.issuer, "PORTICO_OIDC_CLIENT_ID": CLIENT_ID}
    async with connect(redis_server.url, "control") as client, running_shop() as shop:
        await client.ask("FLUSHALL")
        async with running_node(redis_server.url, workers=1, **env) as node:
            yield House(node.port, shop, client, redis_server.url)


@pytest_asyncio.fixture(loop_scope="module")
async def provider(one_provider: RunningProvider) -> RunningProvider:
    """The provider, with good manners."""
    await one_provider.tell()
    return one_provider


@pytest_asyncio.fixture(loop_scope="module")
async def house(one_house: House, provider: RunningProvider) -> House:
    """The house, as at its beginning."""
    one_house.shop.done_by.clear()
    with redis.Redis.from_url(one_house.redis_url) as raw:
        raw.delete("none", *raw.scan_iter("{sess:*"))
    plain = document(f"http://127.0.0.1:{one_house.shop.port}", route={"auth": []})
    neighbour = [{"host": NEIGHBOUR, "verified_by": "operator"}]
    await one_house.put({**plain, "tenant": "evil", "domains": neighbour})
    await one_house.put_shop()
    return one_house


async def log_in(page: Page, name: str = "ann") -> None:
    """Fill in the provider's form, which the page shows."""
    await expect(page).to_have_title(LOGIN_FORM)
    await page.fill("input[name=name]", name)
    await page.click("button")


async def logged_in(house: House, browser: Browser, name: str = "ann") -> Page:
    page = await (await browser.new_context()).new_page()
    await page.goto(house.at("/"))
    await log_in(page, name)
    await expect(page.locator("h1")).to_have_text(f"Hello {name}")
    return page


async def own_cookies(context: BrowserContext) -> list[dict[str, Any]]:
    return [dict(cookie) for cookie in await context.cookies() if cookie.get("name", "").startswith("__Host-portico")]


async def test_a_person_logs_in_and_comes_back_to_the_page_with_a_cookie_that_no_script_and_no_target_sees(
    house: House, browser: Browser
) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(house.at("/orders?page=2"))
    await log_in(page)
    await expect(page.locator("h1")).to_have_text("Hello ann")
    assert page.url == house.at("/orders?page=2")
    await page.reload()
    await expect(page.locator("#cookies")).to_have_text("theirs=1")
    assert await page.evaluate("document.cookie") == "theirs=1"
    [cookie] = await own_cookies(context)
    assert (cookie["domain"], cookie["path"], cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (
        SHOP, "/", True, True, "Lax"
    )  # fmt: skip


async def test_a_script_of_the_page_gets_a_401_and_no_redirect_once_the_session_is_over(
    house: House, browser: Browser
) -> None:
    page = await logged_in(house, browser)
    assert await page.evaluate("fetch('/').then(answer => answer.status)") == 200
    await page.context.clear_cookies()
    assert await page.evaluate("fetch('/').then(answer => answer.status)") == 401


async def test_who_was_away_for_too_long_logs_in_again(house: House, browser: Browser) -> None:
    await house.put_shop(idle_timeout="1s")
    page = await logged_in(house, browser)
    with redis.Redis.from_url(house.redis_url) as raw:
        await until(lambda: not list(raw.scan_iter("{sess:acme}:s:*")), 10)
    await page.context.clear_cookies(domain="127.0.0.1")  # the provider has forgotten them too
    await page.goto(house.at("/orders"))
    await log_in(page, "bob")
    await expect(page.locator("h1")).to_have_text("Hello bob")
    assert page.url == house.at("/orders")


async def test_who_has_logged_out_is_out_and_the_back_button_does_not_help(house: House, browser: Browser) -> None:
    page = await logged_in(house, browser)
    await page.goto(house.at("/orders"))
    await page.goto(house.at(LOGOUT))
    await expect(page).to_have_title(LOGOUT_TITLE)
    assert not await own_cookies(page.context)
    await page.go_back()
    await expect(page).to_have_title(LOGIN_FORM)


async def test_a_link_of_another_site_to_the_logout_asks_first(house: House, browser: Browser) -> None:
    page = await logged_in(house, browser)
    await page.goto(house.at("/evil?at=x", NEIGHBOUR))
    await page.evaluate("address => { location.href = address }", house.at(LOGOUT))
    await expect(page.locator("h1")).to_have_text("Log out")
    await page.goto(house.at("/"))
    await expect(page.locator("h1")).to_have_text("Hello ann")
    await page.goto(house.at("/evil?at=x", NEIGHBOUR))
    await page.evaluate("address => { location.href = address }", house.at(LOGOUT))
    await page.click("button")
    await expect(page).to_have_title(LOGOUT_TITLE)


async def test_an_answer_from_another_browser_logs_nobody_in(house: House, browser: Browser) -> None:
    attacker, victim = [await (await browser.new_context()).new_page() for _ in range(2)]
    await attacker.goto(house.at("/"))
    planted = await answered(attacker.url, "eve")
    answer = await victim.goto(house.at(planted))
    assert answer is not None
    assert answer.status == 403
    await expect(victim.locator("h1")).to_have_text("You are not logged in")
    assert not await own_cookies(victim.context)
    await victim.click("text=Log in")
    await log_in(victim, "ann")
    await expect(victim.locator("h1")).to_have_text("Hello ann")


@pytest.mark.parametrize(
    "return_to", ["//evil.test/", "/\\evil.test/", "http://evil.test/", "/%09/evil.test", "/%0a/evil.test"]
)
async def test_a_prepared_link_to_the_login_does_not_lead_to_another_site(
    house: House, browser: Browser, return_to: str
) -> None:
    page = await (await browser.new_context()).new_page()
    gone: list[str] = []
    page.on("request", lambda request: gone.append(request.url))
    await page.goto(house.at(f"{LOGIN}?return_to={return_to}"))
    await log_in(page)
    await expect(page.locator("h1")).to_have_text("Hello ann")
    assert page.url == house.at("/")
    assert not [url for url in gone if re.match(r"https?://evil", url)]


async def test_a_neighbour_under_the_same_parent_domain_does_nothing_in_somebodys_name(
    house: House, browser: Browser
) -> None:
    page = await logged_in(house, browser)
    await page.click("text=Act")
    await expect(page.locator("body")).to_have_text("done")
    assert house.shop.done_by == ["ann"]
    await page.goto(house.at(f"/evil?at={SHOP}:{house.port}", NEIGHBOUR))
    async with page.expect_navigation() as navigation:
        await page.click("text=A prize")
    answer = await navigation.value
    assert (answer.status, house.shop.done_by) == (403, ["ann"])


SOCKET = """address => new Promise(resolve => {
    const socket = new WebSocket(address);
    socket.onmessage = event => resolve(event.data);
    socket.onerror = () => resolve("refused");
})"""


async def test_a_web_socket_opens_for_the_shops_own_page_and_not_for_the_neighbours(
    house: House, browser: Browser
) -> None:
    page = await logged_in(house, browser)
    address = house.at("/ws").replace("http", "ws", 1)
    assert await page.evaluate(SOCKET, address) == "ann"
    await page.goto(house.at("/evil?at=x", NEIGHBOUR))
    assert await page.evaluate(SOCKET, address) == "refused"


async def test_a_session_that_an_operator_revokes_ends_at_once(house: House, browser: Browser) -> None:
    page = await logged_in(house, browser)
    await page.context.clear_cookies(domain="127.0.0.1")
    await Revocations(house.client).revoke("acme", "ann")
    await Catalog(house.client).commit(Change("acme", KEEP, action="session.revoke"), None)

    async def is_out() -> bool:
        return bool(await page.evaluate("fetch('/').then(answer => answer.status)") == 401)

    await until(is_out, 5)
    await page.reload()
    await expect(page).to_have_title(LOGIN_FORM)


async def test_an_error_is_a_page_that_a_person_can_read(
    house: House, browser: Browser, provider: RunningProvider
) -> None:
    page = await (await browser.new_context()).new_page()
    await page.goto(house.at("/orders"))
    await provider.tell(status=503)
    await log_in(page)
    await expect(page.locator("h1")).to_have_text("Not possible at the moment")
    await provider.tell()
    await page.click("text=Log in")
    await expect(page.locator("h1")).to_have_text("Hello ann")  # the provider still knows who it is
    assert page.url == house.at("/orders")
