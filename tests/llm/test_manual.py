"""Prompts for people: files, a terminal, and a run that is taken up again."""

from __future__ import annotations

import os
import pty
import threading
from dataclasses import replace

import pytest
from support.chat import make_chat_model

from reward_agent.errors import Interrupted, UsageError
from reward_agent.llm.manual import (
    AGENT_FOLDER,
    ManualChatModel,
    Terminal,
    list_sheets,
    list_waiting,
    take_back,
)

REPLY = "```python\ndef compute_reward(state, action, next_state): ...\n```\n"


def save_later(path, text, delay_s=0.3):
    timer = threading.Timer(delay_s, lambda: path.write_text(text))
    timer.start()
    return timer


def test_prompt_is_a_file_and_the_reply_too(tmp_path, request_, capsys):
    model = make_chat_model("manual", folder=tmp_path)
    folder = tmp_path / "manual"
    folder.mkdir()
    save_later(folder / "001.reply.md", REPLY)
    completion = model.complete(request_)
    [prompt] = folder.glob("001-designer-first-*.prompt.md")
    assert prompt.read_text() == "## system\n\nYou design.\n\n## user\n\nHop.\n"
    assert completion.reply == REPLY
    assert (completion.provider, completion.model) == ("manual", "chat window")
    assert completion.usage.n_calls == 1
    assert completion.usage.usd is None


def test_log_says_what_is_waited_for(tmp_path, request_, capfd):
    cancel = threading.Event()
    threading.Timer(0.1, cancel.set).start()
    model = make_chat_model(f"manual:{tmp_path}/replies", cancel=cancel)
    with pytest.raises(Interrupted):
        model.complete(request_)
    [prompt] = (tmp_path / "replies").glob("*.prompt.md")
    said = capfd.readouterr().err
    assert f"waiting for {tmp_path}/replies/{prompt.name.removesuffix('.prompt.md')}.reply" in said


def test_run_taken_up_again_finds_the_replies_that_it_has(tmp_path, request_):
    spec = f"manual:{tmp_path}"
    (tmp_path / "002.reply.md").write_text("second")
    save_later(tmp_path / "001.reply.md", "first")
    other = replace(request_, sample_index=1)
    assert make_chat_model(spec).complete(request_).reply == "first"
    assert make_chat_model(spec).complete(other).reply == "second"
    # Another order, another process: the files are found by the prompt.
    again = make_chat_model(spec)
    assert [again.complete(item).reply for item in (other, request_)] == ["second", "first"]
    assert len(list(tmp_path.glob("*.prompt.md"))) == 2


def test_reply_that_is_still_being_written_is_waited_for(tmp_path, request_):
    path = tmp_path / "001.reply.md"
    path.write_text("  \n")

    class Writer(Terminal):
        """Writes a line of the reply each time that the model looks up, twelve times."""

        lines = 0

        def read(self, wait_s):
            self.lines += 1
            path.write_text("line of a reply\n" * min(self.lines, 12))
            return ""

    model = ManualChatModel(tmp_path, "chat", threading.Event(), Writer())
    assert model.complete(request_).reply == "line of a reply\n" * 12


def test_stopped_run_does_not_wait_on(tmp_path, request_):
    cancel = threading.Event()
    threading.Timer(0.1, cancel.set).start()
    with pytest.raises(Interrupted):
        make_chat_model(f"manual:{tmp_path}", cancel=cancel).complete(request_)


@pytest.fixture
def person(tmp_path):
    """Return a model at a real terminal, and the person's end of it."""
    master, slave = pty.openpty()
    with (
        os.fdopen(master, "r+b", buffering=0) as hands,
        open(slave) as source,
        open(os.ttyname(slave), "w") as screen,
    ):
        terminal = Terminal(source, screen)
        yield ManualChatModel(tmp_path, "chat", threading.Event(), terminal), hands


@pytest.mark.parametrize("end", [b"END\n", b"\x04"])
def test_reply_is_pasted_at_the_terminal(end, person, request_, tmp_path):
    model, hands = person
    threading.Timer(0.2, lambda: hands.write(b"a line\n\nEND of it, not the end\n" + end)).start()
    assert model.complete(request_).reply == "a line\n\nEND of it, not the end\n"
    [saved] = tmp_path.glob("*.reply.md")
    assert saved.read_text().startswith("a line")
    shown = hands.read(4096).decode()
    assert "\r\n## system\r\n\r\nYou design.\r\n\r\n## user\r\n\r\nHop.\r\n" in shown
    assert "close it with a line END" in shown


def test_terminal_leaves_a_saved_reply_its_way(person, request_, tmp_path):
    model, _ = person
    save_later(tmp_path / "001.reply.md", "saved")
    assert model.complete(request_).reply == "saved"


def test_closed_terminal_leaves_the_files(person, request_, tmp_path):
    model, hands = person
    threading.Timer(0.1, lambda: hands.write(b"\x04")).start()
    save_later(tmp_path / "001.reply.md", "saved", 0.6)
    assert model.complete(request_).reply == "saved"


def test_an_agent_answers_in_the_runs_own_folder(tmp_path, request_, capfd):
    model = make_chat_model("agent", folder=tmp_path)
    threading.Timer(
        0.5, lambda: list_waiting(tmp_path / AGENT_FOLDER)[0].reply_path.write_text(REPLY)
    ).start()
    completion = model.complete(request_)
    assert (completion.provider, completion.model, completion.reply) == (
        "agent",
        "coding agent",
        REPLY,
    )
    [sheet] = list_sheets(tmp_path / AGENT_FOLDER)
    assert (sheet.number, sheet.template) == (1, "designer-first")
    assert list_waiting(tmp_path / AGENT_FOLDER) == []
    for given in ({"spec": "agent:elsewhere", "folder": tmp_path}, {"spec": "agent"}):
        with pytest.raises(UsageError, match="own folder"):
            make_chat_model(**given)


def test_what_is_not_asked_again_no_longer_waits(tmp_path, request_):
    folder = tmp_path / AGENT_FOLDER
    model = make_chat_model("agent", folder=tmp_path)
    other = replace(request_, sample_index=1)

    def ask(asked):
        threading.Timer(0.3, model._cancel.set).start()
        with pytest.raises(Interrupted):
            model.complete(asked)
        model._cancel.clear()

    ask(request_)
    take_back(folder)
    assert list_waiting(folder) == []
    ask(other)
    assert [sheet.number for sheet in list_waiting(folder)] == [2]
    ask(request_)
    assert [sheet.number for sheet in list_waiting(folder)] == [1, 2], "asked again: as before"
    assert list_waiting(folder)[0].prompt_path.read_text().strip()


def test_what_is_no_prompt_of_ours_is_none_that_waits(tmp_path):
    for name in (
        "1-x.prompt.md",
        "001-a b-3fa9c1d2.prompt.md",
        "001-x-3fa9c1d2.reply.md",
        ".prompt.md",
    ):
        (tmp_path / name).write_text("x")
    assert list_sheets(tmp_path) == []
    assert list_waiting(tmp_path / "nowhere") == []


def test_folder_is_needed_and_must_be_one(tmp_path):
    with pytest.raises(UsageError, match="needs a folder"):
        make_chat_model("manual")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is not a folder"):
        make_chat_model(f"manual:{tmp_path}/file")


def test_folder_that_cannot_be_written_is_named(tmp_path, request_):
    (tmp_path / "file").write_text("")
    model = make_chat_model(f"manual:{tmp_path}/file/below")
    with pytest.raises(UsageError, match="cannot write a prompt"):
        model.complete(request_)
