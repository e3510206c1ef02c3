"""What a replay takes over from the run that it repeats: environment, task, settings and metric."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reward_agent.definitions.paths import find_runs_dir
from reward_agent.errors import UsageError
from reward_agent.llm.provider import PROVIDERS
from reward_agent.records.settings import list_settings
from reward_agent.records.store import METRIC_FILE, RunRecord, find_run
from reward_agent.run.metric import ProposedMetric


@dataclass(frozen=True)
class Repeated:
    """A run that is repeated without a model.

    Args:
        run: its record.
        provider: the provider that names it for good, also where ``last`` was given.
        metric: source of the metric that it was judged by, or None.
    """

    run: RunRecord
    provider: str
    metric: str | None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that decide what is asked of a model."""
        kept = list_settings(is_personal=False)
        settings = {name: value for name, value in self.run.config.items() if name in kept}
        return settings | {"provider": self.provider}

    @property
    def own_metric(self) -> str | None:
        """The metric, where a person gave it to the run."""
        return self.metric if self.run.metric_origin == "file" else None

    def is_accepted(self, proposed: ProposedMetric) -> bool:
        """Tell whether a proposed metric is the one that was accepted in the run."""
        return proposed.proposal.source == self.metric


def find_repeated(provider: object, runs_dir: Path | None = None) -> Repeated | None:
    """Return the run that ``--provider replay:RUN`` names, or None for another provider.

    Raises:
        UsageError: no run is named, or there is none of that name.
    """
    kind, _, name = str(provider or "").partition(":")
    row = PROVIDERS.find_own(kind)
    if row is None or not row.is_replay:
        return None
    if not name:
        raise UsageError("replay needs a run", "give --provider replay:RUN, such as replay:last")
    folder = find_runs_dir(runs_dir)
    store = find_run(name, folder)
    where = store.dir.name if store.dir.parent == folder else str(store.dir)
    path = store.dir / METRIC_FILE
    metric = path.read_text("utf-8") if path.is_file() else None
    return Repeated(store.read_run(), f"{kind}:{where}", metric)
