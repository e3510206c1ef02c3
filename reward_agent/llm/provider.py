"""What a provider is made from, the same for ours and for a third party's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ProviderOptions:
    """Arguments of a provider's ``make_model(options) -> ChatModel``.

    Args:
        argument: what follows the colon in ``--provider name:argument``.
        model: the model asked for, or None for the provider's default.
        base_url: address of the API, or None for the provider's own.
        timeout_s: how long a connection may stay silent.
        environ: where keys are looked up; never recorded.
    """

    argument: str = ""
    model: str | None = None
    base_url: str | None = None
    timeout_s: float = 600.0
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
