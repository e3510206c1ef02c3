"""Films whose truth is known: the labels hold, and what a model says of them is counted."""

from __future__ import annotations

import json

import pytest

from benchmarks import judge
from benchmarks.films.scripts import SCRIPTS, make_poses, measure
from reward_agent.errors import UsageError
from reward_agent.records.judgement import FilmAnswer
from reward_agent.testing import FakeLLMServer, ReceivedRequest, Say
from reward_agent.types import Usage

LABELS = judge.load_labels()
FILMS = [(group, film) for group in LABELS.group.values() for film in group.film]
NAMES = [f"{group.env}-{film.name}" for group, film in FILMS]


def test_every_script_is_a_film_and_has_a_letter_for_each_statement():
    named = {(group.env, film.name) for group, film in FILMS}
    assert named == {(env, name) for env in SCRIPTS for name in SCRIPTS[env]} | {("hopper", "limp")}
    for group, film in FILMS:
        assert len(film.truth) == len(group.statements), film.name


def test_each_statement_is_true_of_a_film_and_false_of_others():
    for group in LABELS.group.values():
        for place, statement in enumerate(group.statements):
            letters = [film.truth[place] for film in group.film]
            assert "y" in letters, statement
            assert letters.count("n") >= 3, statement


@pytest.mark.parametrize(("group", "film"), FILMS, ids=NAMES)
def test_a_label_is_what_is_measured_on_its_film(group, film):
    poses = make_poses(group.env, film.name)
    facts = measure(poses)
    for name in ("turn", "travel", "lowest"):
        labelled = getattr(film, name)
        if labelled is not None:
            assert getattr(facts, name) == pytest.approx(
                labelled, abs=2.0 if name == "turn" else 0.1
            )
    if film.turn is None:
        assert facts.lowest < 0, "a robot without torques goes down"


def test_a_model_that_knows_the_truth_is_right_everywhere_and_the_table_stays_empty(capsys):
    films = {film.code: film for film in judge.list_films("half_cheetah")}

    def answer(request: ReceivedRequest) -> Say:
        asked.append(request)
        film = list(films.values())[len(asked) - 1]
        answers = [
            {"number": n, "answer": truth or "cannot see", "frame": 1 if truth else None,
             "reason": "it is so"}
            for n, truth in enumerate(film.truths, start=1)
        ]  # fmt: skip
        return Say(json.dumps({"code": film.code, "seen": "it moves", "answers": answers}))

    asked: list[ReceivedRequest] = []
    before = judge.RESULTS_FILE.read_bytes() if judge.RESULTS_FILE.exists() else None
    with FakeLLMServer(answer) as server:
        options = ["ask", "--provider", "openai-compatible", "--model", "fake", "--base-url",
                   server.openai_url, "--only", "half_cheetah"]  # fmt: skip
        assert judge.main(options) == 0
        with pytest.raises(UsageError, match="a fake server answers"):
            judge.main([*options, "--record"])
    assert len({request.pictures for request in asked}) == len(films) == 8
    row = capsys.readouterr().out.strip().splitlines()[-1].split()
    assert row[2:] == ["8", "47", "0", "0", "0", "0", "0"]
    assert (judge.RESULTS_FILE.read_bytes() if judge.RESULTS_FILE.exists() else None) == before


@pytest.mark.parametrize("provider", ["scripted:x", "replay:x", "offline"])
def test_what_no_model_said_is_not_recorded(provider):
    with pytest.raises(UsageError, match="no model that sees"):
        judge.refuse_stand_in(provider, None)


def test_what_is_missed_is_told_from_what_is_invented():
    film = judge.Film("hopper", "x", ("a", "b", "c", "d"), ("yes", "no", "no", ""))
    said = ("no", "yes", "cannot see", "yes")
    answers = tuple(
        FilmAnswer(number=n, answer=item, frame=1, reason="")
        for n, item in enumerate(said, start=1)
    )
    told = [judge.Told(film, answers, Usage()), judge.Told(film, None, Usage())]
    row = judge.count(told, "p", "m")
    assert (row.films, row.unusable, row.right, row.wrong) == (2, 1, 0, 2)
    assert (row.missed, row.invented, row.cannot_see) == (1, 1, 1)


def test_no_model_has_answered_yet_and_the_page_says_so():
    page = (judge.FOLDER / "README.md").read_text()
    assert judge.load_results() == []
    assert judge.render_results([]).rstrip(".") in page.replace(":", ".")
