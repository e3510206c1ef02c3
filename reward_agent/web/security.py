"""Who may talk to the page: whoever holds the token, from the page itself, by a known host name.

Covered: other users and programs of the machine (the token, in a cookie that scripts cannot
read); other sites in the same browser (Origin and Sec-Fetch-Site; the cookie is SameSite=Strict);
a foreign name that is made to point here (Host, against DNS rebinding); injected scripts (a
content security policy without inline scripts or styles). Not covered: whoever can read this
process's output, where the address with the token is printed; and the network in between where a
person binds to it on purpose, since there is no TLS.
"""

from __future__ import annotations

import ipaddress
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_SAFE = frozenset({"GET", "HEAD"})


def make_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(24)


def is_loopback(host: str) -> bool:
    """Return whether a host to bind to is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses requests that do not come from the person's own page."""

    def __init__(self, app: ASGIApp, token: str, host: str, port: int) -> None:
        self._app = app
        self._token = token
        self._host = host
        self._port = port
        # Cookies do not tell ports apart, and two sessions may be open.
        self._cookie = f"reward_agent_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        app = self._decide(scope) or self._app
        await app(scope, receive, send_with_headers)

    def _decide(self, scope: Scope) -> ASGIApp | None:
        """Return what answers in place of the page; None lets the request through."""
        headers = Headers(scope=scope)
        problem = self._find_problem(headers, scope["method"])
        if problem:
            return PlainTextResponse(problem, 403)
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and given and self._is_token(given):
            response = RedirectResponse("/", 303)
            response.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
            return response
        if self._is_token(self._read_cookie(headers)):
            return None
        reason = "open the address with its token, as `reward-agent feedback` printed it"
        return PlainTextResponse(f"This page is for one person: {reason}.", 403)

    def _find_problem(self, headers: Headers, method: str) -> str:
        host = headers.get("host", "")
        if not self._is_known_host(host):
            return f"The host {host[:80]!r} is not this page's."
        if method not in _SAFE and headers.get("origin") != f"http://{host}":
            return "Only the page itself may change the session."
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "Only the page itself may read the session."
        return ""

    def _is_known_host(self, host: str) -> bool:
        """Return whether a Host header names this server; names that could be rebound do not."""
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        if port != self._port:
            return False
        if name in ("localhost", self._host):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not is_loopback(self._host)

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self._token.encode())

    def _read_cookie(self, headers: Headers) -> str:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return ""
        return cookies[self._cookie].value if self._cookie in cookies else ""
