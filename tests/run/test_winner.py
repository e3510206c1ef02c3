"""The winner, chosen among scores of any sign."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.history import find_best
from reward_agent.designers.ideas import choose_ideas
from reward_agent.records.disk import write_record
from reward_agent.records.job import RESULT_FILE
from reward_agent.records.outcomes import TRAINED, Outcome
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.store import Candidate, Confirmation, RunStore, Winner, rank_candidates
from reward_agent.run import confirm as confirmation
from reward_agent.run import handover as stage
from reward_agent.run.handover import film_winner
from reward_agent.run.racing import Target
from reward_agent.run.winner import choose_winner
from reward_agent.types import Evaluation, RewardProgram

SEARCH_SEED = 0


def evaluate(task_score: float | None) -> Evaluation:
    return Evaluation(
        total_timesteps=10, seed=1, n_episodes=1, task_score=task_score, episode_length=5.0
    )


def make_run(folder: Path) -> Any:
    return SimpleNamespace(store=RunStore(folder), settings=SimpleNamespace(seed=SEARCH_SEED))


def add_evaluation(folder: Path, name: str, seed: int, evaluation: Evaluation) -> None:
    path = RunStore(folder).evaluation_dir(0, name, seed) / RESULT_FILE
    write_record(
        path, EvaluateResult(curve=(evaluation,), best=evaluation, best_file="p.safetensors")
    )


def add_candidate(folder: Path, name: str, task_score: float | None) -> Candidate:
    evaluation = evaluate(task_score)
    add_evaluation(folder, name, SEARCH_SEED, evaluation)
    return Candidate(
        id=name, iteration=0, index=0, idea="x", outcome=TRAINED,
        task_score=task_score, evaluation=evaluation,
    )  # fmt: skip


def confirm(folder: Path, name: str, seed: int, task_score: float | None) -> Confirmation:
    evaluation = evaluate(task_score)
    add_evaluation(folder, name, seed, evaluation)
    return Confirmation(candidate=name, seed=seed, evaluation=evaluation, outcome=TRAINED)


def test_of_negative_scores_the_highest_wins_and_gives_the_policy(tmp_path: Path) -> None:
    trained = [
        add_candidate(tmp_path, name, score)
        for name, score in {"a": -9.0, "b": -4.0, "c": None}.items()
    ]
    confirmations = [
        confirm(tmp_path, "a", 100, -8.0),
        confirm(tmp_path, "b", 100, -5.0),
        confirm(tmp_path, "b", 101, -3.0),
        Confirmation(
            candidate="a",
            seed=101,
            evaluation=None,
            outcome=Outcome(kind="failed", stage="training", detail="timeout"),
        ),
    ]
    winner = choose_winner(make_run(tmp_path), trained, confirmations)
    assert winner is not None
    assert (winner.candidate, winner.task_score, winner.is_confirmed) == ("b", -4.0, True)
    assert winner.task_scores == (-5.0, -3.0)
    assert winner.seed == 101
    assert winner.policy_file == "iterations/0/candidates/b/evaluation/seed_101/p.safetensors"


def test_without_fresh_scores_the_search_decides_and_says_so(tmp_path: Path) -> None:
    trained = [add_candidate(tmp_path, "a", -9.0), add_candidate(tmp_path, "b", -4.0)]
    winner = choose_winner(make_run(tmp_path), trained, [confirm(tmp_path, "a", 100, None)])
    assert winner is not None
    assert (winner.candidate, winner.task_score, winner.is_confirmed) == ("b", -4.0, False)


def test_nothing_scored_has_no_winner(tmp_path: Path) -> None:
    trained = [add_candidate(tmp_path, "a", None)]
    assert choose_winner(make_run(tmp_path), trained, []) is None


def make_winner(folder: Path, *, video: bool) -> tuple[Any, Winner]:
    run = make_run(folder)
    run.settings.video = video
    trained = [add_candidate(folder, "a", 2.0)]
    winner = choose_winner(run, trained, [confirm(folder, "a", 100, 3.0)])
    assert winner is not None
    return run, winner


def test_the_policy_that_wins_is_filmed_though_others_of_its_kind_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filmed: list[Path] = []

    def film(_: Any, folder: Path, judged: EvaluateResult) -> EvaluateResult:
        filmed.append(folder)
        judged = judged.model_copy(update={"video_file": "video.webp"})
        write_record(folder / RESULT_FILE, judged)
        return judged

    monkeypatch.setattr(stage, "film", film)
    monkeypatch.setattr(stage, "film_extremes", lambda *_: None)
    run, winner = make_winner(tmp_path, video=True)
    shown = film_winner(run, winner)
    folder = RunStore(tmp_path).evaluation_dir(0, "a", 100)
    assert filmed == [folder]
    assert shown.video_file == "iterations/0/candidates/a/evaluation/seed_100/video.webp"
    film_winner(run, shown)
    assert filmed == [folder], "a film that is there is not made again"


def test_without_videos_the_winner_is_not_filmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "film", lambda *_: pytest.fail("it was filmed"))
    run, winner = make_winner(tmp_path, video=False)
    assert film_winner(run, winner).video_file is None


def add_trained(
    folder: Path, courses: dict[str, list[tuple[float, float]]]
) -> tuple[list[Candidate], list[Confirmation]]:
    """Return candidates with scores and successes of their search, and of fresh seeds."""
    trained, confirmations = [], []
    for name, (of_search, *fresh) in courses.items():
        candidate = add_candidate(folder, name, of_search[0])
        assert candidate.evaluation is not None
        evaluation = candidate.evaluation.model_copy(update={"success_rate": of_search[1]})
        trained.append(candidate.model_copy(update={"evaluation": evaluation}))
        for number, (score, success) in enumerate(fresh):
            item = confirm(folder, name, 100 + number, score)
            assert item.evaluation is not None
            evaluation = item.evaluation.model_copy(update={"success_rate": success})
            confirmations.append(item.model_copy(update={"evaluation": evaluation}))
    return trained, confirmations


@pytest.mark.parametrize(
    ("courses", "winner"),
    [
        # One training with a fresh seed does not undo a program that is far ahead and succeeds.
        ({"a": [(18.35, 1.0), (9.49, 0.06)], "b": [(6.19, 0.0), (13.5, 0.38)]}, "a"),
        # Scores that differ by less than seeds do: who succeeds more often.
        ({"a": [(124.2, 0.81), (151.9, 0.75)], "b": [(151.9, 1.0), (122.8, 0.81)]}, "b"),
        # What fresh seeds show plainly decides.
        ({"a": [(1.0, 1.0), (0.69, 0.5)], "b": [(1.0, 1.0), (0.97, 0.94)]}, "b"),
        ({"a": [(14.5, 0.4), (0.05, 0.0)], "b": [(8.35, 0.0), (13.1, 0.5)]}, "b"),
        # Without a fresh score the search decides, whatever else is known.
        ({"a": [(5.0, 0.0)], "b": [(4.0, 1.0)]}, "a"),
    ],
)
def test_a_program_is_judged_over_its_seeds(
    tmp_path: Path, courses: dict[str, list[tuple[float, float]]], winner: str
) -> None:
    trained, confirmations = add_trained(tmp_path, courses)
    named = choose_winner(make_run(tmp_path), trained, confirmations)
    assert named is not None
    assert named.candidate == winner


class FreshSeeds:
    """Fresh trainings that score as said, by program; notes which were asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, n_seeds: int) -> None:
        self.scores: dict[str, list[float]] = {}
        self.asked: list[tuple[str, ...]] = []
        self.run = make_run(folder)
        self.run.settings.winner_seeds = n_seeds
        self.run.metric = SimpleNamespace(source="x")

        def train(run: Any, rivals: list[Candidate], seed: int) -> list[Confirmation]:
            self.asked.append(tuple(item.id for item in rivals))
            return [
                confirm(folder, item.id, seed, self.scores[item.id][seed - 100]) for item in rivals
            ]

        monkeypatch.setattr(confirmation, "_confirm_with_seed", train)

    def confirm(self, courses: dict[str, tuple[float, list[float]]]) -> list[tuple[str, ...]]:
        self.scores = {name: fresh for name, (_, fresh) in courses.items()}
        self.asked.clear()
        candidates = [
            add_candidate(self.run.store.dir, name, own) for name, (own, _) in courses.items()
        ]
        confirmation.confirm(self.run, candidates)
        return self.asked


def test_fresh_seeds_that_decide_end_a_confirmation_and_those_that_contradict_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = FreshSeeds(monkeypatch, tmp_path, n_seeds=2)
    # Plainly ahead: only the leader is trained as often as was asked for.
    assert fresh.confirm({"a": (1.0, [0.97, 1.0]), "b": (1.0, [0.2])}) == [("a", "b"), ("a",)]
    # As the search said, though not plainly: no more than was asked for.
    near = {"a": (10.0, [12.0, 8.0]), "b": (9.5, [11.0, 7.9])}
    assert fresh.confirm(near) == [("a", "b")] * 2
    # Against the search, and by no more than seeds differ: whose score is least known comes first.
    open_ = {"a": (18.4, [9.5, 12.0, 10.0, 12.0]), "b": (6.2, [13.5, 12.1, 13.0, 13.0])}
    assert fresh.confirm(open_)[:3] == [("a", "b"), ("a", "b"), ("a",)]
    assert len(fresh.asked) <= 6
    # The third seed agrees with the search.
    agrees = {"a": (18.4, [9.5, 12.0, 18.0]), "b": (6.2, [13.5, 12.1, 6.0])}
    assert fresh.confirm(agrees) == [("a", "b"), ("a", "b"), ("a",)]


def test_one_fresh_seed_is_followed_by_more_where_it_contradicts_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = FreshSeeds(monkeypatch, tmp_path, n_seeds=1)
    assert fresh.confirm({"a": (18.4, [9.5, 18.0]), "b": (6.2, [13.5])}) == [("a", "b"), ("a",)]
    decided = {"a": (14.5, [0.214, 0.649]), "b": (8.35, [13.1])}
    assert fresh.confirm(decided) == [("a", "b"), ("a",)]
    assert len(fresh.confirm({"a": (18.4, [9.5]), "b": (6.2, [9.0])})) == 1
    assert fresh.confirm({"a": (18.4, [9.5])}) == [("a",)]


def test_at_a_ceiling_the_program_that_holds_it_soonest_and_over_seeds_comes_first(
    tmp_path: Path,
) -> None:
    facts: dict[str, dict[str, Any]] = {
        "oldest": {"held_from": 240_000, "fresh_scores": (0.97,)},
        "never": {"held_from": None},
        "soon": {"held_from": 60_000},
        "late": {"held_from": 116_000},
        "lower": {"held_from": 10},
    }
    tied = [
        add_candidate(tmp_path, name, 0.9 if name == "lower" else 1.0).model_copy(update=changes)
        for name, changes in facts.items()
    ]
    names = [item.id for item in rank_candidates(tied)]
    assert names == ["soon", "late", "never", "oldest", "lower"]


def test_what_raced_with_several_seeds_is_ranked_by_their_mean_and_so_departed_from(
    tmp_path: Path,
) -> None:
    facts = {"lucky": (9.0, (1.0, 2.0)), "steady": (5.0, (5.0, 6.0)), "alone": (4.5, ())}
    known = [
        add_candidate(tmp_path, name, score).model_copy(update={"fresh_scores": fresh})
        for name, (score, fresh) in facts.items()
    ]
    ranked = ["steady", "alone", "lucky"]
    assert [item.id for item in rank_candidates(known)] == ranked
    entries = [HistoryEntry(item, RewardProgram("x")) for item in known]
    ideas = choose_ideas(1, 2, best=find_best(entries), history=entries)
    assert [idea.parent for idea in ideas] == ranked[:1] * 2


def test_the_policy_that_is_handed_over_is_the_best_of_all_on_fresh_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path)
    run.settings.video, run.settings.eval_episodes = False, 16
    courses = {"a": [(5.0, 0.4), (4.0, 0.4)], "b": [(5.5, 1.0), (0.0, 0.0)], "c": [(1.0, 0.0)]}
    trained, confirmations = add_trained(tmp_path, courses)
    for candidate in trained:
        for seed in (0, 100):
            folder = run.store.evaluation_dir(0, candidate.id, seed)
            if folder.is_dir():
                (folder / "p.safetensors").write_bytes(b"weights")
    tried: list[list[str]] = []

    def evaluate_policies(lab: Any, folder: Path, snapshots: Any, plan: Any) -> EvaluateResult:
        tried.append([item.file for item in snapshots])
        assert all((folder / item.file).is_file() for item in snapshots)
        best = evaluate(5.2).model_copy(update={"success_rate": 0.9, "n_episodes": 16})
        return EvaluateResult(curve=(best,), best=best, best_file=snapshots[-1].file)

    monkeypatch.setattr(stage, "evaluate_policies", evaluate_policies)
    winner = choose_winner(run, trained, confirmations)
    assert winner is not None
    handed = stage.hand_policy(run, winner, trained, confirmations)
    assert (handed.candidate, handed.task_scores) == ("a", (4.0,))
    assert handed.policy is not None
    assert (handed.policy.candidate, handed.policy.seed, handed.seed) == ("b", 0, 0)
    assert handed.policy.evaluation.task_score == 5.2
    assert handed.policy_file == "iterations/0/candidates/b/evaluation/seed_0/p.safetensors"
    # Those that no interval sets apart from the best: without intervals it alone.
    assert tried == [["b_seed_0.safetensors"]]
    assert handed.policy.describe("m") == (
        "of b with seed 0, kept after 10 env steps: 5.2 m, 90% successes in 16 episodes by which nothing was chosen"
    )


def test_who_succeeds_is_handed_over_before_who_is_as_far_by_the_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path)
    run.settings.video, run.settings.eval_episodes = False, 16
    # Score and share of successes of the first training and of one with a fresh seed.
    courses = {"a": [(13.1, 0.5), (12.0, 0.1)], "b": [(13.4, 0.0)], "c": [(4.0, 1.0)]}
    trained, confirmations = add_trained(tmp_path, courses)

    def widen(item: Any) -> Any:
        score = item.evaluation.task_score
        interval = {"task_score_interval": (score - 1.0, score + 1.0)}
        return item.model_copy(update={"evaluation": item.evaluation.model_copy(update=interval)})

    trained, confirmations = [widen(c) for c in trained], [widen(c) for c in confirmations]
    for folder in tmp_path.rglob("evaluation/seed_*"):
        (folder / "p.safetensors").write_bytes(b"weights")
    tried: list[str] = []

    def evaluate_policies(lab: Any, folder: Path, snapshots: Any, plan: Any) -> EvaluateResult:
        tried.extend(item.file for item in snapshots)
        best = evaluate(13.0)
        return EvaluateResult(curve=(best,), best=best, best_file=snapshots[-1].file)

    monkeypatch.setattr(stage, "evaluate_policies", evaluate_policies)
    winner = choose_winner(run, trained, confirmations)
    assert winner is not None
    handed = stage.hand_policy(run, winner, trained, confirmations)
    assert handed.policy is not None
    # The last of equals is taken by the job.
    assert tried == ["b_seed_0.safetensors", "a_seed_100.safetensors", "a_seed_0.safetensors"]
    assert (handed.policy.candidate, handed.policy.seed) == ("a", 0)


def test_of_those_that_are_done_the_score_says_nothing(tmp_path: Path) -> None:
    facts: dict[str, tuple[float, dict[str, Any]]] = {
        "missed": (1.0, {"is_done": True, "is_confirmed": False, "held_from": 10}),
        "late": (1.0, {"is_done": True, "held_from": 90}),
        "soon": (0.9993, {"is_done": True, "held_from": 40}),
        "nearly": (0.996, {"held_from": 20}),
        "confirmed": (0.9991, {"is_done": True, "is_confirmed": True, "held_from": 99}),
    }
    known = [
        add_candidate(tmp_path, name, score).model_copy(update=changes)
        for name, (score, changes) in facts.items()
    ]
    names = [item.id for item in rank_candidates(known)]
    assert names == ["confirmed", "soon", "late", "missed", "nearly"]


def test_a_program_that_fresh_seeds_contradicted_makes_room_for_one_that_is_not_tried(
    tmp_path: Path,
) -> None:
    facts = {
        "lucky": (1.0, (0.65,)),
        "luckier": (1.0, (0.5,)),
        "new": (0.996, ()),
        "low": (0.4, ()),
    }
    known = [
        add_candidate(tmp_path, name, score).model_copy(update={"fresh_scores": fresh})
        for name, (score, fresh) in facts.items()
    ]
    assert [item.id for item in confirmation.find_finalists(known)] == ["new", "lucky"]


def test_a_program_near_the_target_may_be_what_fresh_seeds_confirm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = FreshSeeds(monkeypatch, tmp_path, n_seeds=1)
    fresh.scores = {"lucky": [0.65], "near": [1.0], "far": [1.0]}
    done = {"is_done": True}
    facts = {"lucky": (1.0, done), "near": (0.935, {}), "far": (0.4, {})}
    known = {
        name: add_candidate(fresh.run.store.dir, name, score).model_copy(update=changes)
        for name, (score, changes) in facts.items()
    }

    def note(run: Any, best: Candidate, confirmations: Any, is_confirmed: bool) -> None:
        scores = tuple(item.evaluation.task_score for item in confirmations)
        changes = {"fresh_scores": scores, "is_confirmed": is_confirmed}
        known[best.id] = known[best.id].model_copy(update=changes)

    monkeypatch.setattr(confirmation, "_note_fresh", note)
    monkeypatch.setattr(confirmation, "find_run_target", lambda run: Target(0.95))
    fresh.run.store = SimpleNamespace(list_finished=lambda: list(known.values()))
    assert confirmation.is_target_confirmed(fresh.run)
    assert fresh.asked == [("lucky",), ("near",)]
    assert rank_candidates(known.values())[0].id == "near"
    # Asked again, it is read.
    assert confirmation.is_target_confirmed(fresh.run)
    known["near"] = known["near"].model_copy(update={"is_confirmed": None, "task_score": 0.7})
    known["near"] = known["near"].model_copy(update={"fresh_scores": ()})
    assert not confirmation.is_target_confirmed(fresh.run)
