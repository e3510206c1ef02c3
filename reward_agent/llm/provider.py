"""What a provider is made from, the same for ours and for a third party's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ProviderOptions:
    """Arguments of a provider's ``make_model(options) -> ChatModel``.

    Args:
        argument: what follows the colon in ``--provider name:argument``.
        model: the model asked for, or None for the provider's default.
        base_url: address of the API, or None for the provider's own.
        timeout_s: how long a connection may stay silent.
        environ: where keys are looked up; never recorded.
        deadline_s: how long one call may take in all.
        cancel: set when the run is stopped; whoever waits gives up.
        folder: where a provider may keep files of the run, or None.
        warn: is told what a user should know, in one line.
    """

    argument: str = ""
    model: str | None = None
    base_url: str | None = None
    timeout_s: float = 600.0
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    deadline_s: float = 900.0
    cancel: threading.Event = field(default_factory=threading.Event)
    folder: Path | None = None
    warn: Callable[[str], None] = lambda _: None
