"""``--provider replay:RUN``: a run is repeated without a model, as it was asked for and steered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reward_agent.definitions.paths import find_runs_dir
from reward_agent.definitions.task import METRIC_FILE
from reward_agent.errors import UsageError
from reward_agent.files import read_text
from reward_agent.llm.provider import PROVIDERS
from reward_agent.records.layers import hide_in_settings, render_value
from reward_agent.records.settings import RunSettings, list_settings
from reward_agent.records.store import RunRecord, RunStore, load_run
from reward_agent.records.trial import list_doubted
from reward_agent.run.metric import MetricChoice, ProposedMetric
from reward_agent.types import RewardProgram


@dataclass(frozen=True)
class Repeated:
    """A run that is repeated without a model.

    Args:
        store: its directory.
        run: its record.
        provider: the provider that names it for good, also where ``last`` was given.
        metric: source of the metric that it was scored by, or None.
    """

    store: RunStore
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

    @property
    def is_unranked(self) -> bool:
        """Whether it went on without a metric; an earlier version did so unasked."""
        run = self.run
        return run.is_unranked or (run.metric_origin == "none" and run.status == "finished")

    def complete(self, choice: MetricChoice) -> MetricChoice:
        """Return where the metric may come from: what is given now, else as it was in the run."""
        return replace(
            choice,
            own=choice.own or self.own_metric,
            accept=self.is_accepted,
            is_unranked=choice.is_unranked or self.is_unranked,
            repeated=self.metric,
        )

    def is_accepted(self, proposed: ProposedMetric) -> bool:
        """Tell whether a proposed metric is one that was accepted in the run, also for a while."""
        source = proposed.proposal.source or ""
        return source == self.metric or RewardProgram(source).sha256 in list_doubted(self.store)


def tell_differences(repeated: Repeated, settings: RunSettings) -> str:
    """Say which settings a repeated run is asked for that its replies were not made with."""
    now = hide_in_settings(settings.model_dump())
    then = repeated.run.config
    kept = {*list_settings(is_personal=False), "model", "body"} & then.keys()
    told = [
        f"{name} {render_value(now[name])} (it had {render_value(then[name])})"
        for name in now
        if name in kept and now[name] != then[name] and not (name == "model" and not now[name])
    ]
    return f"other settings than run {repeated.run.id}: {', '.join(told)}" if told else ""


def find_repeated(provider: object, runs_dir: Path | None = None) -> Repeated | None:
    """Return the run that ``--provider replay:RUN`` names, or None for another provider.

    Raises:
        UsageError: no run is named, or there is none of that name.
    """
    kind, _, name = str(provider or "").partition(":")
    row = PROVIDERS.get(kind)
    if row is None or not row.is_replay:
        return None
    if not name:
        raise UsageError("replay needs a run", "give --provider replay:RUN, such as replay:last")
    folder = find_runs_dir(runs_dir)
    store = load_run(name, folder)
    where = store.dir.name if store.dir.parent == folder else str(store.dir)
    metric = read_text(store.dir / METRIC_FILE, "") or None
    return Repeated(store, store.read_run(), f"{kind}:{where}", metric)
