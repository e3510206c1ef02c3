"""What the report shows, read from the run's directory; nothing is computed anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from reward_agent.definitions.task import METRIC_FILE
from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.history import find_best, list_judgements, read_history
from reward_agent.files import read_bytes, read_text
from reward_agent.llm.budget import CostSummary, summarise_costs
from reward_agent.llm.provider import PROVIDERS, Provider
from reward_agent.llm.replies import read_calls
from reward_agent.records.job import STRIP_FILE, VIDEO_FILE
from reward_agent.records.judgement import SHOWN, Judgement, find_order_conflicts, name_shown
from reward_agent.records.steering import Taken, read_steering
from reward_agent.records.store import Candidate, Iteration, RunRecord, RunStore
from reward_agent.records.trial import (
    MetricTrial,
    Retrial,
    list_pictures,
    list_retrials,
    read_trial,
)
from reward_agent.report.beside import Untrained, find_first, read_own, read_untrained
from reward_agent.report.given import GivenTrace, trace_given
from reward_agent.types import Evaluation, TermCurve


@dataclass(frozen=True)
class CandidateView:
    """One candidate with everything that its folder holds.

    Args:
        entry: its records.
        number: its place in the run, from 1.
        parent: the candidate that it departed from, if it is in the run.
        is_best: whether the report puts it first: the winner, else the best so far.
        folder: its folder, relative to the run's.
        strip: bytes of the WebP picture with key moments of its policy, or None.
    """

    entry: HistoryEntry
    number: int
    parent: HistoryEntry | None
    is_best: bool
    folder: str
    strip: bytes | None = None

    @property
    def id(self) -> str:
        """Name of the candidate."""
        return self.entry.candidate.id

    @property
    def score(self) -> float | None:
        """Trusted task score of its best policy."""
        return self.entry.candidate.task_score

    @property
    def terms(self) -> tuple[TermCurve, ...]:
        """Course of each reward term over its training, where one was recorded."""
        training = self.entry.training
        return tuple(curve for curve in (training.terms if training else ()) if curve.points)


@dataclass(frozen=True)
class JudgedFilm:
    """What the judge says of a film, and the sheet of frames that it saw, as a PNG, or None."""

    judgement: Judgement
    sheet: bytes | None


@dataclass(frozen=True)
class ShownFilm:
    """A film in the page: which episode it shows, and its bytes, an mp4 or an animated WebP."""

    key: str
    words: str
    data: bytes


@dataclass(frozen=True)
class RunView:
    """A run as the report shows it.

    Args:
        run: ``run.json``.
        iterations: the complete rounds.
        candidates: theirs, in order.
        films: of the policy that the run ends with, or of its best so far, the median episode
            first; and of the best of the first round.
        video_note: why there are none.
        untrained: the best that the robot did without a policy, where that was measured.
        own: of a policy trained with Gymnasium's own reward, where one was.
        strip: bytes of the picture with key moments of the same episode, or None.
        metric_source: the metric that scored the run, if there is one.
        costs: what its language model was paid.
        judged: what a model that watched films says of them.
        trial: what the metric said of behaviours that nobody trained, if it was tried.
        retrials: what came of examining it again, with rounds that led nowhere.
        climbs: pictures of what a metric was tried on, by behaviour.
        given: what became of the rewards that it started from.
        steering: what a person did while it searched.
    """

    run: RunRecord
    iterations: tuple[Iteration, ...]
    candidates: tuple[CandidateView, ...]
    films: tuple[ShownFilm, ...]
    video_note: str
    strip: bytes | None
    metric_source: str
    costs: CostSummary
    judged: tuple[JudgedFilm, ...] = ()
    trial: MetricTrial | None = None
    retrials: tuple[Retrial, ...] = ()
    climbs: tuple[tuple[str, bytes], ...] = ()
    given: tuple[GivenTrace, ...] = ()
    steering: tuple[Taken, ...] = ()
    untrained: Untrained | None = None
    own: Evaluation | None = None

    @property
    def has_mp4(self) -> bool:
        """Whether the films are mp4."""
        return any(is_mp4(film.data) for film in self.films)

    @cached_property
    def conflicts(self) -> tuple[str, ...]:
        """How the judge of the films contradicts the metric."""
        judgements = [film.judgement for film in self.judged]
        own = [f"{item.title}: {item.conflict}" for item in judgements if item.conflict]
        return (*own, *find_order_conflicts(judgements))

    @cached_property
    def best(self) -> CandidateView | None:
        """The candidate that the report puts first."""
        return next((item for item in self.candidates if item.is_best), None)

    @cached_property
    def shown_seed(self) -> int | None:
        """Seed of the training whose policy the video shows."""
        if self.run.winner is not None:
            return self.run.winner.seed
        training = self.best.entry.training if self.best else None
        return training.seed if training else None

    @cached_property
    def shown_evaluation(self) -> Evaluation | None:
        """Evaluation of that policy."""
        winner = self.run.winner
        if winner and winner.policy:
            return winner.policy.evaluation
        for item in self.run.confirmations:
            if winner and (item.candidate, item.seed) == (winner.candidate, winner.seed):
                return item.evaluation
        return self.best.entry.candidate.evaluation if self.best else None

    @cached_property
    def first(self) -> Candidate | None:
        """The best of the first round, by its score in the search."""
        return find_first(item.entry.candidate for item in self.candidates)

    def find_score(self, candidate: str) -> float | None:
        """Return what a candidate scored in the search."""
        return next((item.score for item in self.candidates if item.id == candidate), None)

    @cached_property
    def trained(self) -> tuple[CandidateView, ...]:
        """Candidates with a trusted evaluation of a policy."""
        return tuple(item for item in self.candidates if item.entry.curve)

    @cached_property
    def stand_in(self) -> Provider | None:
        """Who designed, where no language model did; results of different kinds are never mixed."""
        row = PROVIDERS.get(self.run.designer.partition(":")[0].strip())
        return row if row is not None and row.stands_in else None


# A page with three rounds of four candidates is to stay below 15 MB; base64 adds a third.
MAX_VIDEO_BYTES, _MAX_FILMS_BYTES = 6 * 2**20, 8 * 2**20
_EPISODES: dict[str, str] = {
    "median": "a usual try", "best": "its best try", "worst": "its worst try",
    "untrained": "untrained", "own": "Gymnasium's own reward",
}  # fmt: skip
MAX_STRIP_BYTES = 128 * 2**10
MAX_SHEET_BYTES, _MAX_SHEETS = 512 * 2**10, 6
PNG = b"\x89PNG\r\n\x1a\n"


def load_run_view(run_dir: Path) -> RunView:
    """Read a run, finished or not.

    Raises:
        DataError: the folder is not a run, or a record in it is not valid.
    """
    store = RunStore(run_dir)
    run = store.read_run()
    entries = read_history(store)
    best = find_shown(run, entries)
    path = place_shown(store, run, best)
    video, note = _read_video(store, path, is_wanted=run.config.get("video") is not False)
    metric_source = read_text(store.dir / METRIC_FILE, "")
    return RunView(
        run=run,
        iterations=tuple(store.read_iteration(index) for index in store.list_iterations()),
        candidates=_make_candidates(store, run, entries, best),
        films=_read_films(store, run, path, video, [entry.candidate for entry in entries]),
        video_note=note,
        untrained=read_untrained(store, metric_source),
        own=read_own(store),
        strip=_read_picture(path.with_name(STRIP_FILE), MAX_STRIP_BYTES) if path else None,
        metric_source=metric_source,
        costs=summarise_costs(read_calls(run_dir)),
        judged=tuple(_read_judged(store)),
        trial=read_trial(store),
        retrials=tuple(list_retrials(store)),
        climbs=tuple(_read_climbs(store)),
        given=trace_given(store, run),
        steering=read_steering(store.dir),
    )


def _read_climbs(store: RunStore) -> Iterator[tuple[str, bytes]]:
    """Yield the pictures of what the trial of the metric looked at."""
    trial = read_trial(store)
    for title, path in list_pictures(store, trial) if trial else ():
        picture = _read_picture(path, MAX_STRIP_BYTES)
        if picture:
            yield title, picture


def _read_judged(store: RunStore) -> Iterator[JudgedFilm]:
    """Yield what was judged, the last films first with their frames, as far as the page bears."""
    judgements = list_judgements(store)
    with_sheet = judgements[-_MAX_SHEETS:]
    for item in judgements:
        folder = store.evaluation_dir(item.iteration, item.candidate, item.seed)
        is_shown = item in with_sheet or bool(item.conflict)
        yield JudgedFilm(item, read_sheet(folder / item.frames_file) if is_shown else None)


def read_sheet(path: Path) -> bytes | None:
    """Return a PNG. A child wrote it: nothing else gets into a page."""
    return _read_if(path, MAX_SHEET_BYTES, lambda data: data.startswith(PNG))


def _read_if(path: Path, max_bytes: int, is_it: Callable[[bytes], bool]) -> bytes | None:
    """Return a file that is there, is not too large and is what it should be; else None."""
    if not path.is_file() or path.stat().st_size > max_bytes:
        return None
    data = read_bytes(path, max_bytes)
    return data if is_it(data) else None


def place_shown(store: RunStore, run: RunRecord, best: HistoryEntry | None) -> Path | None:
    """Return where the film of the policy lies that the run ends with, or of its best so far."""
    if run.winner and run.winner.video_file:
        return store.dir / run.winner.video_file
    return place_film(store, run, best.candidate) if best else None


def find_shown(run: RunRecord, entries: Sequence[HistoryEntry]) -> HistoryEntry | None:
    """Return the winner, else the best so far, else the last that was trained."""
    if run.winner is not None:
        chosen = [e for e in entries if e.candidate.id == run.winner.candidate]
        if chosen:
            return chosen[-1]
    best = find_best(list(entries))
    trained = [entry for entry in entries if entry.training is not None]
    return best or (trained[-1] if trained else None)


def _make_candidates(
    store: RunStore, run: RunRecord, entries: Sequence[HistoryEntry], best: HistoryEntry | None
) -> tuple[CandidateView, ...]:
    by_id = {entry.candidate.id: entry for entry in entries}
    return tuple(
        CandidateView(
            entry=entry,
            number=number,
            parent=by_id.get(entry.candidate.parent or ""),
            is_best=entry is best,
            folder=store.candidate_dir(entry.candidate.iteration, entry.candidate.id)
            .relative_to(store.dir)
            .as_posix(),
            strip=_read_picture(
                place_film(store, run, entry.candidate).with_name(STRIP_FILE), MAX_STRIP_BYTES
            ),
        )
        for number, entry in enumerate(entries, start=1)
    )


def _read_films(
    store: RunStore,
    run: RunRecord,
    path: Path | None,
    video: bytes | None,
    candidates: Sequence[Candidate],
) -> tuple[ShownFilm, ...]:
    """Return the films of the page, as far as it bears them."""
    if path is None or video is None:
        return ()
    shown: dict[str, bytes] = {"median": video}
    places: dict[str, Path] = {
        key: path.with_name(name_shown(path.name, key)) for key in SHOWN if key != "median"
    }
    first = find_first(candidates)
    if first is not None and (place := place_film(store, run, first)) != path:
        places |= {"first": place}
    places |= {
        "untrained": store.untrained_dir / VIDEO_FILE,
        "own": store.own_reward_dir / "evaluation" / VIDEO_FILE,
    }
    for key, place in places.items():
        data = _read_film(place)
        if data and sum(map(len, shown.values())) + len(data) <= _MAX_FILMS_BYTES:
            shown[key] = data
    words = _EPISODES | {"first": f"round 1: {first.id}" if first else ""}
    return tuple(ShownFilm(key, words[key], data) for key, data in shown.items())


def _read_film(path: Path) -> bytes | None:
    """Return a film, as an mp4 if there is one."""
    film = _read_if(path.with_suffix(".mp4"), MAX_VIDEO_BYTES, is_mp4)
    return film or _read_picture(path, MAX_VIDEO_BYTES)


def _read_video(store: RunStore, path: Path | None, is_wanted: bool) -> tuple[bytes | None, str]:
    """Return the best policy's video, or why there is none."""
    if path is None:
        return None, "no policy has been trained yet"
    place = path.relative_to(store.dir)
    if not path.is_file():
        why = "no video of this policy was rendered; `reward-agent doctor` says what it needs"
        if not is_wanted:
            why = f"the run was told to render none; `reward-agent film {store.dir.name}` draws one"
    elif path.stat().st_size > MAX_VIDEO_BYTES:
        why = f"the video is too large for this page: {place}"
    else:
        why = f"{place} is not a WebP animation"
    video = _read_film(path)
    return video, "" if video else why


def is_mp4(data: bytes) -> bool:
    """Return whether this is an mp4 in H.264, which browsers play."""
    return data[4:8] == b"ftyp" and b"avc1" in data


def _read_picture(path: Path, max_bytes: int) -> bytes | None:
    """Return a WebP image. A child wrote it: nothing else gets into the page."""
    return _read_if(path, max_bytes, lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def place_film(store: RunStore, run: RunRecord, candidate: Candidate) -> Path:
    """Return where the video of a candidate's best policy lies, if one was rendered."""
    winner = run.winner
    owner = winner.policy or winner if winner else None
    if winner and winner.video_file and owner and owner.candidate == candidate.id:
        return store.dir / winner.video_file
    seed = run.config.get("seed", 0)
    return store.evaluation_dir(candidate.iteration, candidate.id, seed) / VIDEO_FILE
