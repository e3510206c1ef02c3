"""A run on screen: events become lines and progress bars; its end becomes a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from reward_agent.cli.output import (
    answer_console,
    make_table,
    print_text,
    progress_console,
    show_number,
)
from reward_agent.designers.history import list_judgements
from reward_agent.errors import Interrupted, UnknownNameError, UsageError
from reward_agent.llm.provider import PROVIDERS, find_provider
from reward_agent.records import events
from reward_agent.records.judgement import find_order_conflicts
from reward_agent.records.layers import render_value
from reward_agent.records.settings import ROLES, ModelSettings
from reward_agent.records.steering import read_steering
from reward_agent.records.timing import describe_shares
from reward_agent.records.trial import list_pictures, list_retrials, read_trial
from reward_agent.report.given import trace_given
from reward_agent.text import hide_credentials, hide_in_data, name_round

if TYPE_CHECKING:
    from pathlib import Path

    from reward_agent.records.store import Candidate, RunRecord, RunStore
    from reward_agent.records.trial import MetricTrial, Retrial


class RunDisplay:
    """A run's progress on standard error."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:>9,.0f} steps"),
            TextColumn("{task.fields[rate]:>6}/s"),
            TextColumn("return {task.fields[generated]:>7}"),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            console=progress_console,
            transient=True,
            disable=not progress_console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._unit = ""
        self._best: float | None = None
        self._reason = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the screen to a question."""
        self._progress.stop()
        yield

    def listen(self, event: events.Event) -> None:
        """Show one event; kinds without a line of their own are passed over."""
        if isinstance(event, events.RunStarted | events.SessionOpened | events.MetricChosen):
            self._unit = event.unit
        try:
            match event:
                case events.TrainingProgress():
                    self.show_row(f"{event.candidate} seed {event.seed}", event.row, event.total)
                case events.TrainedUntil():
                    self._hide_progress(event)
                case events.Drafted() if event.outcome.kind == "no_program":
                    self._show_lack(event)
                # One without a program is said as it was drafted.
                case events.Concluded() if event.outcome.kind != "no_program":
                    self._show_concluded(event)
                case events.Disclosed():
                    where = " and ".join(event.addresses)
                    progress_console.print(_head("sends", f"{', '.join(event.what)} to {where}"))
                case _ if text := _describe(event, self._unit):
                    progress_console.print(text)
        except (BrokenPipeError, SystemExit):  # rich's way to say that nobody reads any more
            raise Interrupted("nobody reads the output any more") from None

    def show_row(self, name: str, row: Mapping[str, float], total: int | None = None) -> None:
        """Show how far a training is.

        Args:
            name: what the bar is called.
            row: a row of ``progress.csv``.
            total: env steps of the whole training, where they are known.
        """
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, rate="–", generated="–")
        self._progress.update(
            self._tasks[name],
            visible=True,
            completed=row.get("total_timesteps", 0.0),
            rate=f"{row.get('steps_per_s', 0.0):,.0f}",
            generated=show_number(row.get("generated_return")),
        )
        self._progress.start()

    def _hide_progress(self, event: events.TrainedUntil) -> None:
        task = self._tasks.get(f"{event.candidate} seed {event.seed}")
        if task is not None:
            self._progress.update(task, visible=False)
        # An idle display redraws its line all the same, over what a person types there.
        if not any(task.visible for task in self._progress.tasks):
            self._progress.stop()
        if event.outcome.kind == "failed":
            progress_console.print(_mark(False), f"{event.candidate}  {event.outcome}")

    def _show_lack(self, event: events.Drafted) -> None:
        """Say why there is no program; what holds of several is said once."""
        reason = str(event.outcome)
        told = "no program: for the same reason" if reason == self._reason else reason
        self._reason = reason
        progress_console.print(Text.assemble(_mark(False), f" {event.id}  {told}"))

    def _show_concluded(self, event: events.Concluded) -> None:
        score = event.task_score
        if score is not None:
            self._best = score if self._best is None else max(score, self._best)
        best = "" if self._best is None else f"  best so far {self._best:.3g}"
        told = _say_score(event.candidate, score, self._unit)
        progress_console.print(Text.assemble(told, f"  {event.outcome}", (best, "dim")))


def _say_score(candidate: str, score: float | None, unit: str) -> Text:
    """Return the beginning of a line: what a candidate scored in the search."""
    number = (show_number(score), "bold")
    return Text.assemble(f"  {candidate}  search score ", number, f" {unit}")


_SIDE_BY_SIDE = "each program races with several seeds at once; what cannot, on the cores"


def _describe(event: events.Event, unit: str) -> Text | None:
    """Return the lines of an event; None if it has none."""
    match event:
        case events.RunStarted():
            lines = ("designer", event.designer), ("task", event.task), ("run", event.run)
            told = (("device", f"{event.device}: {_SIDE_BY_SIDE}"),) if event.device else ()
            return Text("\n").join(_head(name, words) for name, words in (*lines, *told))
        case events.SessionOpened():
            return _head("designer", event.designer)
        case events.SandboxChosen():
            return _describe_sandbox(event.level)
        case events.Retrying():
            return Text.assemble(("  waiting", "yellow"), f" {event.reason}")
        case events.Warned():
            return Text.assemble(("  warning", "yellow"), f" {event.reason}")
        case events.NoMetric():
            words = (
                "policies are trained and shown, nothing is ranked. Give one with --metric FILE."
            )
            return Text.assemble(("no metric", "yellow"), f" {event.reason}: {words}")
        case events.MetricChosen():
            return _head("metric", event.origin)
        case events.MetricRejected():
            return Text(f"  proposed metric: {event.reason}")
        case events.MetricDoubted():
            head = ("  THE METRIC MAY BE AT FAULT", "bold red")
            return Text.assemble(head, f"  {event.reason}\n  {event.remedy}")
    return _describe_round(event, unit)


def _describe_round(event: events.Event, unit: str) -> Text | None:
    match event:
        case events.IterationStarted():
            return Text(f"\n{name_round(event.iteration)}", "bold")
        case events.Drafted():
            mark = _mark(event.outcome.kind == "accepted")
            origin = (f"  {event.origin}" if event.origin else "", "dim")
            return Text.assemble(mark, f" {event.id}", origin, f"  {event.outcome}")
        case events.Steered():
            return Text.assemble(("  steered", "yellow"), f" by {event.by}: {event.told}")
        case events.Scored():
            at = f"  {event.candidate} at {event.steps:,} steps:"
            mean = f", mean of {event.n_seeds} seeds" if event.n_seeds > 1 else ""
            score = f" search score {show_number(event.score)} {unit}{mean}"
            return Text.assemble((at, "dim"), score)
        case events.WishMeasured():
            return Text("\n").join(Text(f"  {line}") for line in event.lines)
        case events.Rescored():
            return _say_score(event.candidate, event.task_score, unit) + "  scored again"
        case events.FilmJudged():
            colour = "bold red" if event.conflict else "dim"
            told = f"DISAGREEMENT: {event.conflict}" if event.conflict else event.agreement
            return Text.assemble(f"  {event.candidate}  judge: {event.verdict}; ", (told, colour))
        case events.Confirming():
            names = " and ".join(event.candidates)
            return Text.assemble(("\nconfirming", "bold"), f" {names} with fresh seed {event.seed}")
    return None


def _head(name: str, words: str) -> Text:
    return Text.assemble((f"{name:10}", "bold"), " ".join(words.split()))


def _mark(is_good: bool) -> Text:
    return Text("  ✓", "green") if is_good else Text("  ✗", "red")


def _describe_sandbox(level: str) -> Text:
    name = ("sandbox   ", "bold")
    if level == "full":
        return Text.assemble(name, (level, "green"))
    rest = (
        ": generated code is isolated less than it can be; "
        "`reward-agent doctor` says what is missing"
    )
    return Text.assemble(name, (level, "yellow"), rest)


def show_run(store: RunStore, run: RunRecord) -> None:
    """Write a run's candidates, winner and files to standard output."""
    unit = f" [{run.task.unit}]" if run.task.unit else ""
    table = make_table(
        "round",
        "candidate",
        f">search score{unit}",
        "95 %",
        ">success",
        f">steps ({run.card.learner.algo})",
        "outcome",
        title=run.id,
    )
    for index in store.list_iterations():
        for candidate in store.read_iteration(index).candidates:
            _add_rows(table, index, candidate, run)
    answer_console.print(table)
    _show_given(store, run)
    _show_steering(store)
    _show_judgements(store)
    _show_trials(store, run)
    _show_settings(run)
    _show_winner(store, run)


def _show_settings(run: RunRecord) -> None:
    """Write the settings that somebody said, and those of the models asked; where each is from."""
    print_text("\nsettings")
    asked = ModelSettings.model_fields.keys() - _list_unused(run)
    for name, value in hide_in_data(run.config).items():
        origin = run.config_sources.get(name, "default")
        is_of_model = name in asked and value not in (None, {})
        if is_of_model or not origin.startswith(("default", "preset", "card")):
            print_text(f"  {name:20} {render_value(value)}  ({origin})")


def _list_unused(run: RunRecord) -> frozenset[str]:
    """Return the settings of a model that have no effect on anybody whom a run asks."""
    own = [run.config.get(name) or {} for name in ROLES.values()]
    asked = {run.config.get("provider"), *(role.get("provider") for role in own)} - {None}
    try:
        unused = [find_provider(str(spec)).unused_settings for spec in asked]
    except (UnknownNameError, UsageError):  # of a package that is not here
        unused = []
    return frozenset.intersection(*unused) if unused else frozenset()


def _show_steering(store: RunStore) -> None:
    """Write what a person did while the run searched."""
    for taken in read_steering(store.dir):
        when = f"{taken.act.time}, {name_round(taken.iteration)}, by {taken.by}"
        print_text(f"\nsteered  {taken}\n         {when}")


def _show_given(store: RunStore, run: RunRecord) -> None:
    """Write what became of the rewards that the run started from, and of their terms."""
    for trace in trace_given(store, run):
        print_text(f"\nfrom     {trace.reward.file}: {trace.sentence}")
        for line in filter(None, (trace.how, *trace.reward.notes)):
            print_text(f"         {line}")
        for fate in trace.fates:
            print_text(f"         {fate.name}: {fate}")


def _add_rows(table: Any, index: int, candidate: Candidate, run: RunRecord) -> None:
    """Add a candidate, after the replies that did not become its program."""
    for number, attempt in enumerate(candidate.attempts, start=1):
        name = f"{candidate.id}, reply {number}"
        table.add_row(str(index + 1), name, "–", "", "", "", str(attempt.outcome), style="dim")
    evaluation = candidate.evaluation
    interval = evaluation.task_score_interval if evaluation else None
    rate = evaluation.success_rate if evaluation else None
    is_winner = run.winner is not None and run.winner.candidate == candidate.id
    table.add_row(
        str(index + 1),
        f"{candidate.id} {candidate.origin}".strip(),
        show_number(candidate.task_score),
        "" if interval is None else f"{interval[0]:.3g}…{interval[1]:.3g}",
        "" if rate is None else f"{rate:.0%}",
        f"{candidate.total_timesteps:,}",
        str(candidate.outcome),
        style="bold green" if is_winner else "",
    )


def _show_judgements(store: RunStore) -> None:
    """Write what the judge saw in each film, and loudly where it contradicts the metric."""
    judgements = list_judgements(store)
    for item in judgements:
        folder = store.evaluation_dir(item.iteration, item.candidate, item.seed)
        whose = f"{item.candidate}, seed {item.seed}"
        print_text(f"\njudge    {whose}; its frames: {folder / item.frames_file}")
        print_text(item.render())
    conflicts = [f"{item.title}: {item.conflict}" for item in judgements if item.conflict]
    for conflict in [*conflicts, *find_order_conflicts(judgements)]:
        answer_console.print(Text(f"\nDISAGREEMENT  {conflict}", "bold red"))


def make_trial_table(trial: MetricTrial, unit: str) -> Any:
    """Return what a metric says of each behaviour as a table, of the actuators' ends the best."""
    table = make_table("behaviour", f">score [{unit}]" if unit else ">score", ">success")
    for row in trial.chosen_rows:
        table.add_row(Text(row.title), show_number(row.task_score), f"{row.success_rate:.0%}")
    return table


def _show_trials(store: RunStore, run: RunRecord) -> None:
    """Write what came of the trial of the metric."""
    trial = read_trial(store)
    if trial is None:
        return
    print_text("\nthe metric on behaviours that nobody trained")
    answer_console.print(make_trial_table(trial, run.task.unit))
    for finding in trial.findings:
        print_text(f"{finding.severity:8} {finding.message}")
    if trial.opinion:
        print_text(f"opinion  {trial.opinion}")
    for title, path in list_pictures(store, trial):
        print_text(f"pictures {title}: {path}")
    _show_judged(trial)
    for retrial in list_retrials(store):
        _show_retrial(store, retrial)


def _show_judged(trial: MetricTrial) -> None:
    for row in trial.rows:
        if row.judged:
            print_text(f"judge    {row.title}: {row.judged}")


def _show_retrial(store: RunStore, retrial: Retrial) -> None:
    """Write what came of examining the metric again, and loudly where it may be at fault."""
    print_text(f"\nexamined again after round {retrial.iteration + 1}: {retrial.plateau}")
    if retrial.doubt:
        answer_console.print(Text(f"THE METRIC MAY BE AT FAULT  {retrial.doubt}", "bold red"))
        print_text(f"another  {store.feedback_command} --metric FILE")
    else:
        print_text("nothing speaks against it")
    if retrial.opinion:
        print_text(f"opinion  {retrial.opinion}")
    _show_judged(retrial)


def _show_status(store: RunStore, run: RunRecord) -> None:
    """Write how a run stands that has no winner, and what goes on with one that waits."""
    note = hide_credentials(run.note)
    print_text(f"\n{run.status}: {note}" if note else f"\n{run.status}")
    if run.status == "paused":
        print_text(f"go on    {store.resume_command}, with --yes, --metric FILE or --unranked")


def _show_winner(store: RunStore, run: RunRecord) -> None:
    winner = run.winner
    if winner is None:
        _show_status(store, run)
    else:
        doubt = "" if winner.is_confirmed else " (not tried with fresh seeds)"
        rate = "" if winner.success_rate is None else f", {winner.success_rate:.0%} successes"
        score = f"{show_number(winner.task_score)} {run.task.unit}{rate}"
        print_text(
            f"\nwinner   {winner.candidate}: {winner.score_name} {score}{doubt}; "
            f"{run.total_timesteps:,} env steps, {run.wall_s:.0f} s"
        )
        _show_seeds(store, run)
        if winner.robustness:
            own, changed = winner.robustness.own, winner.robustness.randomised
            print_text(
                f"physics  its policy scores {show_number(own.task_score)} with the model's own, "
                f"{show_number(changed.task_score)} with randomised ones"
            )
        print_text(f"reward   {store.dir / 'reward.py'}")
        if winner.policy:
            print_text(f"policy   {winner.policy.describe(run.task.unit)}")
        label = "        " if winner.policy else "policy  "
        print_text(f"{label} {store.dir / winner.policy_file}")
        if winner.video_file:
            _show_film(store.dir / winner.video_file)
        if run.note:
            print_text(f"ended    {run.note}")
    _show_spent(store, run)
    print_text(f"report   {store.dir / 'report.html'}")


def _show_spent(store: RunStore, run: RunRecord) -> None:
    """Write what a run took: calls of a model, limits, time."""
    usage = run.usage
    if usage.n_calls:
        usd = "no price known" if usage.usd is None else f"{usage.usd:.4f} USD"
        print_text(
            f"model    {usage.n_calls} calls, {usage.input_tokens:,} tokens in "
            f"({usage.cached_input_tokens:,} from the prompt cache), {usage.output_tokens:,} out, "
            f"{usd}; `reward-agent runs costs {run.id}`"
        )
    row = PROVIDERS.get(str(run.config.get("provider")).partition(":")[0])
    if row is not None and row.is_replay:
        print_text("model    none: the replies were replayed, nothing was paid")
    if run.limit:
        limit = hide_credentials(run.limit)
        print_text(f"limit    {limit}; with a higher one: {store.resume_command}")
    if run.slot_seconds:
        print_text(f"time     {describe_shares(run.slot_seconds)}")


def _show_seeds(store: RunStore, run: RunRecord) -> None:
    """Say what every training of the programs that were confirmed scored."""
    known = {item.id: item for item in store.list_finished()}
    label = "seeds   "
    for name in dict.fromkeys(item.candidate for item in run.confirmations):
        fresh = [show_number(item.task_score if item else None) for item in run.list_fresh(name)]
        own = show_number(known[name].task_score if name in known else None)
        scores = f"fresh-seed {'scores' if len(fresh) > 1 else 'score'} {', '.join(fresh)}"
        print_text(f"{label} {name}: search score {own}, {scores}")
        label = "        "


def _show_film(path: Path) -> None:
    """Tell where a run's film lies, as an mp4 if it is one as well."""
    from reward_agent.run.film import GET_MP4

    film = path.with_suffix(".mp4")
    if film.is_file():
        print_text(f"video    {film}")
        return
    print_text(f"video    {path}")
    print_text(f"         an mp4, which plays everywhere: {GET_MP4}")
