"""Where calls go: an address as people write it, and the proxy in between."""

from __future__ import annotations

import ipaddress
import os
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from reward_agent.errors import UsageError, hint_closest
from reward_agent.text import hide_credentials

# What people copy from an example of a call, and the SDKs add themselves.
_CALLS = re.compile(r"(/(chat/)?completions|/responses|(/v1)?/messages|/models|/embeddings)/*$")
_FEW_SLASHES = re.compile(r"(https?):/(?=[^/])")
# Where other programs, and earlier SDKs, look for an address.
_UNREAD = (
    "OPENAI_API_BASE", "OPENAI_BASE", "OPENAI_API_HOST", "OPENAI_HOST", "OPENAI_API_URL",
    "ANTHROPIC_API_BASE", "ANTHROPIC_API_URL", "ANTHROPIC_URL", "OLLAMA_HOST", "OLLAMA_API_BASE",
)  # fmt: skip
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


@dataclass(frozen=True)
class CorrectedAddress:
    """An address that can be called, and what was corrected in the one that was given."""

    url: str
    note: str = ""


def correct_address(given: str, usual_path: str = "") -> CorrectedAddress:
    """Return an address as it was meant.

    Args:
        given: with or without scheme and path, or with the path of a call.
        usual_path: what one without a path lacks, such as ``/v1``.
    """
    url, done = given.strip(), []
    if slip := _FEW_SLASHES.match(url):
        url = f"{slip[1]}://{url[slip.end() :]}"
        done.append("it lacked a slash")
    # What holds a password is not guessed at.
    if url and "://" not in url and "@" not in url:
        host = re.split(r"[/:?]", url.removeprefix("["), maxsplit=1)[0]
        is_near = is_loopback(host) or url.startswith("[") or "." not in host or _is_private(host)
        url = f"{'http' if is_near else 'https'}://{url}"
        done.append("it had no http:// or https://")
    head, mark, query = url.partition("?")
    cut = _CALLS.sub("", head)
    if cut != head:
        done.append(f"{head[len(cut) :].rstrip('/')} is added by each call")
    if usual_path and re.fullmatch(r"[a-z]+://[^/]+/*", cut):
        cut = cut.rstrip("/") + usual_path
        done.append(f"it had no path, {usual_path} is the usual one")
    url = cut + mark + query
    note = f"the address is read as {hide_credentials(url)}: {', '.join(done)}" if done else ""
    return CorrectedAddress(url, note)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback or host == "0.0.0.0"
    except ValueError:
        return host.lower() in ("localhost", "ip6-localhost") or host.endswith(".localhost")


def _is_private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host.endswith((".local", ".lan", ".internal"))


def find_unread(variable: str, environ: Mapping[str, str]) -> str:
    """Say which variable of other programs names an address that is not read; '' if none.

    Args:
        variable: the one that is read.
        environ: environment variables.
    """
    kind = variable.partition("_")[0]
    found = [name for name in _UNREAD if name.startswith(f"{kind}_") and environ.get(name)]
    if not found or environ.get(variable):
        return ""
    return f"{found[0]} is set and not read: the variable is {variable}, the option --base-url"


# --- what stands in between ---------------------------------------------------------------------


@dataclass(frozen=True)
class Proxy:
    """A proxy that the environment names.

    Args:
        url: with its credentials.
        variable: that names it.
        host: in front of which it stands.
    """

    url: str
    variable: str
    host: str

    def __str__(self) -> str:
        return f"the proxy {hide_credentials(self.url)} ({self.variable})"

    @property
    def remedy(self) -> str:
        """What to do if it does not do."""
        return f"check {self.variable}, or go past it: NO_PROXY={self.host}"


def find_proxy(url: str) -> Proxy | None:
    """Return the proxy in front of an address; servers of this machine are asked without one.

    Raises:
        UsageError: it is one that cannot be used.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    # It lets through what NO_PROXY names.
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    known = urllib.request.getproxies()
    kind = next((kind for kind in (parts.scheme, "all") if known.get(kind)), None)
    if kind is None:
        return None
    names = (name for name in os.environ if name.lower() == f"{kind}_proxy" and os.environ[name])
    given = known[kind] if "://" in known[kind] else f"http://{known[kind]}"
    proxy = Proxy(given, next(names, "the system's settings"), host)
    try:
        is_address = bool(urlsplit(given).hostname) and urlsplit(given).port != 0
    except ValueError:  # a port or an IPv6 address that is none
        is_address = False
    if not is_address:
        raise UsageError(f"{proxy} is no address of the form http://host:port", proxy.remedy)
    scheme = given.partition("://")[0].lower()
    if scheme not in _PROXY_SCHEMES:
        closest = "; did you mean socks5://?" if scheme.startswith("socks") else (
            hint_closest(scheme, _PROXY_SCHEMES)
        )  # fmt: skip
        raise UsageError(
            f"{proxy} has a scheme that cannot be used, {scheme}://{closest}",
            f"correct {proxy.variable}, or go past it: NO_PROXY={host}",
        )
    if scheme.startswith("socks") and find_spec("socksio") is None:
        raise UsageError(
            f"{proxy} needs the package socksio", f"pip install socksio; or NO_PROXY={host}"
        )
    return proxy
