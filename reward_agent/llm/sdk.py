"""What the providers with an SDK share: the client, and one error of ours for every failure.

The openai and anthropic packages are made by the same generator: their exceptions have the same
names and shapes, so one function serves both. Neither is imported here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from reward_agent.llm.chat import ALL_AGENTS
from reward_agent.llm.failures import (
    Endpoint,
    HttpFailure,
    explain_connection_failure,
    explain_http_failure,
    explain_malformed_reply,
    explain_timeout,
    parse_retry_after,
)

T = TypeVar("T")

_CONNECT_S = 10.0


class ContentFilteredError(Exception):
    """The prompt was stopped by a filter in front of the model: an outcome, not an error."""


class SdkChatModel:
    """The part of a chat model that does not depend on the wire.

    Args:
        endpoint: address, model and key.
        timeout_s: how long the connection may stay silent.
        max_concurrency: calls at the same time.
    """

    agents = ALL_AGENTS

    def __init__(self, endpoint: Endpoint, *, timeout_s: float, max_concurrency: int = 8) -> None:
        self.provider = endpoint.provider
        self.name = endpoint.model
        self.max_concurrency = max_concurrency
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._client: Any = None
        self._lock = threading.Lock()

    def _connect(self, make_client: Callable[..., Any], make_timeout: Callable[..., Any]) -> Any:
        """Make the client once; it is safe to share between threads. Retries are ours."""
        with self._lock:
            if self._client is None:
                self._client = make_client(
                    # A server of one's own may want no key; the SDK insists on some text.
                    api_key=self._endpoint.api_key or "none",
                    base_url=self._endpoint.base_url,
                    timeout=make_timeout(self._timeout_s, connect=_CONNECT_S),
                    max_retries=0,
                )
            return self._client


def call_sdk(sdk: Any, send: Callable[[], T], *, endpoint: Endpoint, timeout_s: float) -> T:
    """Call ``send`` and return what it returns.

    Args:
        sdk: the imported openai or anthropic package.
        send: makes one request; the SDK's own retries are off.
        endpoint: whom it calls.
        timeout_s: the read timeout, for the message.

    Raises:
        ContentFilteredError: a filter stopped the prompt.
        ModelError: every other failure. The SDK's exception is not chained, since its text may
            quote a part of the key.
    """
    try:
        return send()
    except sdk.APITimeoutError:
        error = explain_timeout(endpoint, timeout_s)
    except sdk.APIConnectionError as failure:
        error = explain_connection_failure(endpoint, failure)
    except sdk.APIStatusError as failure:
        response = _read_failure(failure)
        if response.is_content_filter:
            raise ContentFilteredError(endpoint.scrub(response.message)) from None
        error = explain_http_failure(endpoint, response)
    except (sdk.APIError, ValueError) as failure:
        what = f"something that is not JSON of the expected form ({type(failure).__name__})"
        error = explain_malformed_reply(endpoint, what, is_transient=True)
    raise error from None


def _read_failure(failure: Any) -> HttpFailure:
    """Read status, code and message of an ``APIStatusError``."""
    body = failure.body if isinstance(failure.body, Mapping) else {}
    inner = body.get("error")
    # openai unwraps the "error" object of a body, anthropic does not.
    detail: Mapping[str, Any] = inner if isinstance(inner, Mapping) else body
    codes = (detail.get("type"), detail.get("code"), getattr(failure, "error_code", None))
    return HttpFailure(
        status=int(failure.status_code),
        code=" ".join(str(code) for code in codes if code),
        message=str(detail.get("message") or inner or failure.message),
        retry_after_s=parse_retry_after(failure.response.headers.get("retry-after")),
    )
