"""The judge: a language model that sees watches the frames of a film, criterion by criterion."""

from __future__ import annotations

import re

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import TaskSpec
from reward_agent.designers.brief import FilmBrief
from reward_agent.designers.model import ask_for_record
from reward_agent.designers.prompts import render
from reward_agent.designers.roles import Opinion
from reward_agent.llm.chat import ChatMessage, ChatModel, ChatRequest
from reward_agent.records.judgement import FilmReply
from reward_agent.simulation.backends import find_backend

MAX_CRITERIA = 12
_REPLY_TOKENS = 4_000
_MOST_CHARS, _LEAST_WORDS = 300, 2
# What ends a sentence, but no number ("0.5 m") and no abbreviation ("e.g."); and what parts clauses
# outside of brackets. Scripts without spaces have marks of their own.
_SENTENCE = re.compile(r"(?<![.\s]\w)[.!?](?=\s|$)|[。！？]")
_CLAUSE = re.compile(r"[,;:](?=\s|$)|[，；：、]|\n+\s*(?:[-*•]|\d+[.)])?\s*")
_SUCCESS = re.compile(r"(?is)\bsuccess(?:ful)?\s*:\s*(.+)\Z")
_LIST_MARK = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_JOINED = re.compile(r"(?i)^(?:and|but|then)\b\s*(?:then\b\s*)?")
# What begins so says more of what stands before it.
_BELONGS = re.compile(r"(?i)(?:of|or|with|for|which|that|since|as|else|by|down to|up to)\b")
# How points are counted, which no film shows.
_COUNTING = re.compile(r"(?i)(?:the )?(?:score|episode (?:ends|is)|judged|success is)\b")


class FilmJudge:
    """Asks a language model that sees, beside the metric; what it says ranks nothing.

    Args:
        model: the model.
        address: where it is asked, without credentials; '' if nowhere that is known.

    Attributes:
        description: who it is, for the record.
        refusal: why it is asked no more in this run; '' as long as it answers.
        given_up: codes of the films of which nothing usable was said, twice.
    """

    def __init__(self, model: ChatModel, address: str = "") -> None:
        at = f", asked at {address}" if address else ""
        self.description = f"{model.provider}: {model.name}{at}"
        self.provider, self.name = model.provider, model.name
        self.max_concurrency = model.max_concurrency
        self.refusal = ""
        self.given_up: set[str] = set()
        self._model = model

    def watch(self, brief: FilmBrief) -> Opinion[FilmReply]:
        """Ask what is seen; a reply that is not about the picture is asked for once more.

        Raises:
            ModelError: no reply arrived; BlindModelError where the model takes no pictures.
        """
        return ask_for_record(
            self._model,
            make_film_request(brief),
            FilmReply,
            lambda reply: reply.check(brief.code, len(brief.criteria), len(brief.times)),
        )


def make_film_request(brief: FilmBrief) -> ChatRequest:
    """Ask what is seen on a sheet of frames."""
    listed = "\n".join(f"{number}. {text}" for number, text in enumerate(brief.criteria, start=1))
    user = render(
        "judge/film",
        card=brief.card,
        view=brief.view,
        task=brief.task,
        times=brief.times,
        ends_early=brief.n_steps < brief.card.max_episode_steps,
        listed=listed,
    )
    return ChatRequest(
        "judge",
        "judge/film",
        (
            ChatMessage("system", render("judge/system")),
            ChatMessage("user", user, picture=brief.sheet),
        ),
        max_output_tokens=_REPLY_TOKENS,
        sample_index=brief.index,
        iteration=brief.iteration,
        must_see=True,
    )


def describe_view(card: EnvCard) -> str:
    """Say what the directions of a sheet are, or that a camera not ours draws it."""
    camera = card.model.camera
    if camera >= 0:
        return (
            f"the model's own camera {camera}; where it stands, what it looks at and its scale are "
            "not known, so read directions and sizes from what is in sight"
        )
    is_ours = find_backend(card).is_mujoco
    return "+x, which is forward for what goes along x, points to the right" if is_ours else ""


def split_criteria(task: TaskSpec) -> tuple[str, ...]:
    """Return what a film is asked about, one thing at a time.

    First the task as a whole, then the parts of its sentence, then what counts as success. A
    criterion in sentences without that word is taken sentence by sentence.
    """
    whole = " ".join(task.description.split())
    clauses = _split(_CLAUSE, whole)
    found = _SUCCESS.search(task.criterion)
    sentences = _split(_SENTENCE, found[1] if found else task.criterion)
    asked = [sentence for sentence in sentences if not _COUNTING.match(sentence)]
    if found:
        asked = [part for sentence in asked for part in _split(_CLAUSE, sentence)]
    parts = [*(clauses if len(clauses) > 1 else []), *asked]
    # A part that is the whole, or came before, is not asked for again.
    single = {_bare(part): part for part in reversed(parts) if _bare(part) != _bare(whole)}
    head = f"All in all, the robot does what the task says: {whole}"
    return tuple(part[:_MOST_CHARS] for part in [head, *reversed(single.values())][:MAX_CRITERIA])


def _split(mark: re.Pattern[str], text: str) -> list[str]:
    """Split a text at marks outside of brackets; what has one short word goes with what follows."""
    parts, start, depth = [], 0, 0
    closing = {found.start(): found for found in mark.finditer(text)}
    for place, letter in enumerate(text):
        depth = max(0, depth + (letter in "([{（") - (letter in ")]}）"))
        found = closing.get(place)
        if found is not None and depth == 0 and place >= start:
            parts.append(text[start:place])
            start = found.end()
    parts.append(text[start:])
    return _join_short([_LIST_MARK.sub("", part).strip(" \t\n.") for part in parts])


def _join_short(parts: list[str]) -> list[str]:
    kept: list[str] = []
    for part in filter(None, parts):
        is_word = part.isascii() and len(part.split()) < _LEAST_WORDS
        if kept and (is_word or _BELONGS.match(part)):
            kept[-1] += f", {part}"
        else:
            kept.append(_JOINED.sub("", part))
    return kept


def _bare(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().lower()
