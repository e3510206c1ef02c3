"""A picture goes with a question to whoever takes pictures; who takes none is asked without."""

from __future__ import annotations

import base64
import importlib
import threading
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from reward_agent.errors import BlindModelError, ModelError
from reward_agent.llm.budget import count_prompt_tokens
from reward_agent.llm.chat import ChatMessage, ChatRequest
from reward_agent.llm.manual import ManualChatModel
from reward_agent.llm.replies import digest_request
from reward_agent.testing import FakeLLMServer, HttpFault, Say

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
CODED = base64.b64encode(PNG).decode()


@pytest.fixture
def seen(request_: ChatRequest) -> ChatRequest:
    return replace(request_, messages=(ChatMessage("user", "What is it?", picture=PNG),))


def test_anthropic_is_sent_the_picture_before_the_words(seen, connect):
    with FakeLLMServer([Say("a dog")]) as server:
        connect("anthropic", server).complete(seen)
        [turn] = server.requests[0].body["messages"]
    picture, words = turn["content"]
    assert picture["source"] == {"type": "base64", "media_type": "image/png", "data": CODED}
    assert words == {"type": "text", "text": "What is it?"}


@pytest.mark.parametrize("provider", ["openai", "openai-compatible"])
def test_openai_is_sent_the_picture_as_a_data_address(provider, seen, connect):
    with FakeLLMServer([Say("a dog")]) as server:
        connect(provider, server).complete(seen)
        [turn] = server.requests[0].body["messages"]
    assert turn["content"][0] == {"type": "text", "text": "What is it?"}
    assert turn["content"][1]["image_url"] == {"url": f"data:image/png;base64,{CODED}"}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "this model does not support image input"),
        (404, "No endpoints found that support image input"),
        (422, "messages.0.content: Input should be a valid string"),
        (500, "image input is not supported - hint: you may need to provide the mmproj"),
    ],
)
def test_a_server_without_eyes_is_asked_in_words(status, said, seen, connect):
    with FakeLLMServer([HttpFault(status, "error", said), Say("a dog"), Say("a dog")]) as server:
        model = connect("openai-compatible", server)
        assert model.complete(seen).reply == "a dog"
        model.complete(seen)  # what was refused once is not sent again
        contents = [item.body["messages"][0]["content"] for item in server.requests]
    assert [type(content) for content in contents] == [list, str, str]


def test_another_fault_of_a_server_is_not_blamed_on_the_picture(seen, connect):
    fault = HttpFault(500, "error", "out of memory")
    with FakeLLMServer([fault] * 9) as server, pytest.raises(ModelError, match="500"):
        connect("openai-compatible", server).complete(seen)


def test_a_picture_is_part_of_what_was_asked_and_of_what_it_costs(seen):
    bare = replace(seen, messages=(ChatMessage("user", "What is it?"),))
    other = replace(seen, messages=(ChatMessage("user", "What is it?", picture=PNG + b"1"),))
    assert len({digest_request(asked) for asked in (bare, seen, other)}) == 3
    assert len({asked.sha256 for asked in (bare, seen, other)}) == 3
    assert count_prompt_tokens(seen) > count_prompt_tokens(bare) + 1000
    assert "(A picture of 28 bytes, sha256 " in seen.prompt


@pytest.mark.parametrize(
    ("provider", "package", "name"),
    [
        ("openai", "openai.types.chat", "ChatCompletionContentPartImageParam"),
        ("anthropic", "anthropic.types", "ImageBlockParam"),
    ],
)
def test_a_picture_has_the_form_that_the_package_types(provider, package, name, seen, connect):
    with FakeLLMServer([Say("a dog")]) as server:
        connect(provider, server).complete(seen)
        [request] = server.requests
    [block] = [part for part in request.body["messages"][0]["content"] if part["type"] != "text"]
    kind = getattr(importlib.import_module(package), name)
    assert TypeAdapter(kind).validate_python(block)
    assert request.pictures == (PNG,)
    assert CODED not in request.text


@pytest.mark.parametrize("provider", ["openai", "openai-compatible", "anthropic"])
def test_what_is_about_a_picture_is_not_asked_of_a_server_without_eyes(provider, seen, connect):
    fault = HttpFault(400, "invalid_request_error", "this model does not support image input")
    with FakeLLMServer([fault, fault]) as server:
        model = connect(provider, server)
        for _ in range(2):
            with pytest.raises(BlindModelError, match="takes no pictures") as caught:
                model.complete(replace(seen, must_see=True))
        assert "--judge-model" in caught.value.remedy
        assert all(request.pictures for request in server.requests)


def test_what_a_picture_costs_depends_on_its_size(seen):
    def tell(width: int, height: int) -> int:
        head = PNG[:16] + width.to_bytes(4) + height.to_bytes(4)
        return count_prompt_tokens(replace(seen, messages=(ChatMessage("user", "", picture=head),)))

    assert tell(320, 216) < 300
    # 1536 patches of 32 pixels are the most that are counted, 2.46 tokens each.
    assert 2900 < tell(1536, 792) < 3000
    assert tell(8000, 8000) > 80_000


def test_a_person_with_a_chat_window_finds_the_picture_beside_the_prompt(seen, tmp_path):
    (tmp_path / "001.reply.md").write_text("a dog")
    model = ManualChatModel(tmp_path, "chat window", threading.Event())
    assert model.complete(seen).reply == "a dog"
    [picture] = tmp_path.glob("001-*.picture.png")
    assert picture.read_bytes() == PNG
