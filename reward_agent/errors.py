"""Every error that this project raises at its users.

    RewardAgentError                exit 1
    ├── UsageError                  exit 2   the command or call was not right
    │   ├── UnknownNameError                 a name that is not there, with the closest one
    │   └── ConsentError                     a stranger's folder that nobody allowed
    ├── DataError                            a file, record or reply does not have its form
    │   ├── RefusedError                     a person's program that the rules do not take
    │   └── EnvironmentFailure               a person's environment failed, or its process ended
    ├── ModelError                           a language model could not be used
    │   ├── MissingKeyError, RejectedKeyError, UnknownModelError, UnreachableError,
    │   ├── RateLimitError, QuotaError
    │   ├── RefusalError, EmptyReplyError, TruncatedReplyError, ContextTooLongError
    │   ├── ScriptEndedError                 scripted replies ran out
    │   └── ReplayError                      a replayed run holds no reply to a prompt
    ├── JobError                             a child process of ours failed (not its program)
    │   └── SandboxError                     the isolation that was asked for is not to be had
    ├── UndecidedError              exit 2   a run waits until a person says how it is scored
    ├── DiskError                            the operating system refuses a file
    ├── InternalError                        a fault of ours
    ├── BudgetError                 exit 3   a limit of money, tokens or calls is reached
    └── Interrupted                 exit 130 stopped by the user; the run can be resumed

A failure of *generated code* is not an error of ours: it is data, an outcome with a name. Each kind
has a ``code`` for programs, which no renaming changes (docs/reference/errors.md).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from reward_agent.text import clean_text

_MAX_CHARS = 4000
_ALIKE_WHOLE, _ALIKE_PART = 0.9, 0.82


class RewardAgentError(Exception):
    """An error with a remedy.

    Args:
        message: what was given and what was expected, in one line.
        remedy: what to do next, in one line.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        # A message may quote a library, a model or a file: it stays one line of plain text.
        self.message = clean_text(message, _MAX_CHARS)
        self.remedy = clean_text(remedy, _MAX_CHARS)

    def to_dict(self) -> dict[str, Any]:
        """Return the error as data, as ``--json`` has it on standard error."""
        return {
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
            "exit": self.exit_code,
        }


class UsageError(RewardAgentError):
    """The command line, the configuration or a call's arguments are not right."""

    code = "usage"
    exit_code = 2


class UnknownNameError(UsageError):
    """A name that does not exist, answered with the closest one that does."""

    code = "unknown_name"

    def __init__(self, kind: str, given: str, known: Iterable[str], remedy: str = "") -> None:
        names, given = sorted(known), given[:200]
        listing = ", ".join(names) if names else "none"
        super().__init__(
            f"unknown {kind} {given!r}{hint_closest(given, names)}",
            remedy or f"known {kind} names: {listing}",
        )
        self.closest = find_closest_name(given, names)


class ConsentError(UsageError):
    """An environment's folder is a stranger's, and nobody said that it may be used."""

    code = "consent"


class DataError(RewardAgentError):
    """A file, a record or a child's result does not have the form it must have."""

    code = "data"


class RefusedError(DataError):
    """A person's program that the rules do not take.

    Args:
        message: what is wrong with it, in one line.
        remedy: what to do next, in one line.
        findings: all that is wrong with it, each at its line.
    """

    code = "refused"

    def __init__(self, message: str, remedy: str, findings: str) -> None:
        super().__init__(message, remedy)
        self.findings = findings

    def to_dict(self) -> dict[str, Any]:
        """Return the error as data, with what is wrong at each line."""
        return {**super().to_dict(), "findings": self.findings}


class EnvironmentFailure(DataError):
    """An environment of a person's own failed while it ran, or its process ended.

    That is no fault of the program that was paying its steps.
    """

    code = "environment"


class ModelError(RewardAgentError):
    """A language model could not be used.

    Args:
        is_transient: whether the same call may succeed a little later.
        retry_after_s: how long the provider asks to wait before it, if it says so.
        may_be_billed: whether a reply had begun, so that the provider may ask money for it.
    """

    code = "model"

    def __init__(
        self,
        message: str,
        remedy: str = "",
        *,
        is_transient: bool = False,
        retry_after_s: float | None = None,
        may_be_billed: bool = False,
    ) -> None:
        super().__init__(message, remedy)
        self.is_transient = is_transient
        self.retry_after_s = retry_after_s
        self.may_be_billed = may_be_billed


class MissingKeyError(ModelError):
    """No API key is set for the provider."""

    code = "missing_key"


class RejectedKeyError(ModelError):
    """The provider does not accept the API key."""

    code = "rejected_key"


class UnknownModelError(ModelError):
    """The server knows no model of that name."""

    code = "unknown_model"


class UnreachableError(ModelError):
    """The provider could not be reached, or it is failing."""

    code = "unreachable"


class RateLimitError(ModelError):
    """The provider asks to slow down."""

    code = "rate_limit"


class QuotaError(ModelError):
    """The account behind the key has no credit left."""

    code = "quota"


class RefusalError(ModelError):
    """The model, or a filter in front of it, declined to answer."""

    code = "refusal"


class EmptyReplyError(ModelError):
    """The model answered with nothing."""

    code = "empty_reply"


class TruncatedReplyError(ModelError):
    """The reply was cut at the output limit."""

    code = "truncated_reply"


class ContextTooLongError(ModelError):
    """The prompt does not fit into the model's context."""

    code = "context_too_long"


class BlindModelError(ModelError):
    """The model takes no pictures, and the question is about one."""

    code = "blind_model"


class ScriptEndedError(ModelError):
    """A script of replies has none left for the agent that asks."""

    code = "script_ended"


class ReplayError(ModelError):
    """The run that is replayed holds no reply to a prompt."""

    code = "replay"


class JobError(RewardAgentError):
    """A child process of ours failed; not the program that it ran."""

    code = "job"


class SandboxError(JobError):
    """The isolation that was asked for cannot be had on this machine."""

    code = "sandbox"


class UndecidedError(RewardAgentError):
    """A run is paused, its folder kept: a person is to say by which metric it is scored.

    Args:
        run: folder of the run.
        reason: why it has no metric, or why the one it has is in doubt.
        commands: what goes on with it, each by what it does: ``own``, ``unranked``, ``keep`` where
            it has one, and ``accept`` where a metric was proposed.
    """

    code = "undecided"
    exit_code = 2

    def __init__(self, run: str, reason: str, commands: Mapping[str, str]) -> None:
        self.run, self.commands = run, dict(commands)
        self.reason = clean_text(reason, _MAX_CHARS)
        ways = "; or ".join(self.list_ways())
        nothing = "" if "keep" in commands else ", nothing is trained"
        super().__init__(f"run {run} is paused{nothing}: {reason}", ways)

    def to_dict(self) -> dict[str, Any]:
        """Return the error as data, with what goes on with the run."""
        return {**super().to_dict(), "run": self.run, "commands": self.commands}

    def list_ways(self) -> list[str]:
        """Return what each command does, and the command."""
        words = {
            "accept": "accept the metric", "keep": "keep the one it has",
            "own": "judge by your own", "unranked": "rank nothing",
        }  # fmt: skip
        return [f"{words[name]}: {line}" for name, line in self.commands.items()]


class DiskError(RewardAgentError):
    """The operating system refuses a file: no space, no permission."""

    code = "disk"


class InternalError(RewardAgentError):
    """A fault of reward-agent itself."""

    code = "internal"


class BudgetError(RewardAgentError):
    """A limit of money, tokens or calls is reached; a higher one lets the run go on."""

    code = "budget"
    exit_code = 3


class Interrupted(RewardAgentError):
    """The user stopped the run; it can be resumed."""

    code = "interrupted"
    exit_code = 130


def find_closest_name(given: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the known name most like ``given``, or None when nothing is near."""
    names = [name.lower() for name in known]
    matches = difflib.get_close_matches(given.lower(), names, n=1, cutoff=likeness)
    if not matches:
        return None
    return next(name for name in known if name.lower() == matches[0])


def find_alike_name(given: str, known: Iterable[str]) -> str | None:
    """Return the known name that this one is a slip of, part by part; None where none is.

    ``torso_hight`` is a slip of ``torso_height``; ``linear_velocity`` is none of ``leg_velocity``.
    """
    alike = [name for name in known if _is_slip(given.lower(), name.lower())]
    return find_closest_name(given, sorted(alike), likeness=0.0)


def _is_slip(given: str, name: str) -> bool:
    ours, theirs = given.split("_"), name.split("_")
    whole = difflib.SequenceMatcher(None, "".join(ours), "".join(theirs)).ratio()
    if given[:1] == name[:1] and whole > _ALIKE_WHOLE:
        return True
    pairs = zip(ours, theirs, strict=False)
    return len(ours) == len(theirs) and all(_is_slip_of_part(a, b) for a, b in pairs)


def _is_slip_of_part(given: str, name: str) -> bool:
    """Whether a part is another but for a slip: a letter, two that changed places, a cut end."""
    is_cut = min(len(given), len(name)) >= 3 and name.startswith(given)
    is_turned = len(name) > 3 and sorted(given) == sorted(name)
    n_other = sum(a != b for a, b in zip(given, name, strict=False))
    is_misspelt = len(given) == len(name) > 3 and given[0] == name[0] and n_other == 1
    if given == name or is_turned or is_cut or is_misspelt:
        return True
    return difflib.SequenceMatcher(None, given, name).ratio() > _ALIKE_PART


def hint_closest(given: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'NAME'?``, to end a message with, or nothing when none is near."""
    closest = find_closest_name(given, known)
    return f"; did you mean {closest!r}?" if closest else ""
