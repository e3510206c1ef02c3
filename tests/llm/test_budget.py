from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_agent.errors import (
    BudgetError,
    Interrupted,
    RateLimitError,
    UnreachableError,
    UsageError,
)
from reward_agent.llm.budget import (
    Budget,
    SpendingLimits,
    count_prompt_tokens,
    estimate_worst_case,
    group_usage,
    name_round_of,
    sum_usage,
)
from reward_agent.llm.calls import CalledChatModel
from reward_agent.llm.chat import ALL_AGENTS, ChatMessage, ChatRequest, Completion
from reward_agent.llm.models import find_model, list_models, price_usage
from reward_agent.llm.provider import ProviderOptions, find_provider
from reward_agent.llm.replies import OLD_CALLS_FILE, Replies, read_calls
from reward_agent.types import Usage

PRICED = find_provider("anthropic").default_model
CARD = find_model(PRICED, "anthropic")


class PaidModel:
    """Answers at once, with the tokens that it is told to report."""

    agents = ALL_AGENTS
    max_concurrency = 8

    def __init__(self, name=PRICED, provider="anthropic", usage=None, failures=()):
        self.name, self.provider = name, provider
        self.usage = usage or Usage(n_calls=1, input_tokens=1000, output_tokens=100)
        self.failures = list(failures)
        self.n_calls = 0

    def complete(self, request):
        self.n_calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return Completion(
            reply="x" * 40,
            stop_reason="stop",
            model=self.name,
            provider=self.provider,
            usage=self.usage,
        )


def make_model(inner=None, path=None, **limits):
    budget = Budget(SpendingLimits(**limits), Replies(path, "off"))
    return call(inner or PaidModel(), budget), budget


def call(inner, budget):
    """Return a model with a budget; it is not tried again, and has no deadline."""
    row = replace(find_provider(inner.provider), is_patient=True)
    return CalledChatModel(inner, row, budget=budget)


@pytest.fixture
def small(request_):
    return replace(request_, max_output_tokens=1000)


def test_calls_are_counted_before_they_are_made(small):
    inner = PaidModel()
    model, budget = make_model(inner, calls=2)
    model.complete(small)
    model.complete(small)
    with pytest.raises(BudgetError, match="--max-calls 2 is reached: 2 calls were made") as caught:
        model.complete(small)
    assert inner.n_calls == 2
    assert caught.value.exit_code == 3
    assert "higher limit" in caught.value.remedy
    assert budget.reached.startswith("--max-calls 2")


def test_worst_case_is_checked_before_a_call_in_tokens(small):
    inner = PaidModel(usage=Usage(n_calls=1, input_tokens=50, output_tokens=450))
    worst = count_prompt_tokens(small) + 1000
    model, budget = make_model(inner, tokens=500 + worst - 1)
    model.complete(small)
    with pytest.raises(BudgetError, match=r"500 are used, and the next call \(designer/first\)"):
        model.complete(small)
    assert inner.n_calls == 1
    assert budget.usage.input_tokens + budget.usage.output_tokens == 500


def test_worst_case_is_checked_before_a_call_in_usd(small):
    worst = estimate_worst_case(small, CARD).usd
    inner = PaidModel()
    model, budget = make_model(inner, usd=worst * 0.99)
    with pytest.raises(BudgetError, match=r"--max-usd .* is reached: 0 USD are spent"):
        model.complete(small)
    assert inner.n_calls == 0
    model, budget = make_model(inner, usd=worst * 1.01)
    assert model.complete(small).usage.usd == pytest.approx(budget.usage.usd)
    assert 0 < budget.usage.usd < worst


def test_worst_case_is_not_below_what_is_paid(small):
    text = "def compute_reward(state):\n    return np.clip(x, 0, 1)  # (N,) m/s\n" * 50
    request = replace(small, messages=(ChatMessage("system", text), ChatMessage("user", "ж" * 999)))
    # Every provider's tokeniser makes fewer tokens than one for three bytes of such text.
    likely = sum(len(turn.content.encode()) for turn in request.messages) // 3
    paid = Usage(n_calls=1, input_tokens=likely, output_tokens=request.max_output_tokens)
    assert estimate_worst_case(request, CARD).usd >= price_usage(paid, CARD, paid.input_tokens)
    assert count_prompt_tokens(request) >= likely


class SlowModel(PaidModel):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()
        self.n_running = self.most_running = 0

    def complete(self, request):
        with self.lock:
            self.n_running += 1
            self.most_running = max(self.most_running, self.n_running)
        time.sleep(0.03)
        with self.lock:
            self.n_running -= 1
        return super().complete(request)


def test_concurrent_calls_reserve_their_worst_case_and_wait_for_each_other(small):
    worst = estimate_worst_case(small, CARD).usd
    inner = SlowModel()
    # Room for two at a time, and for all eight one after the other.
    paid = price_usage(inner.usage, CARD)
    model, budget = make_model(inner, usd=worst * 2 + paid * 6)
    threads = [
        threading.Thread(target=model.complete, args=(replace(small, sample_index=n),))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inner.n_calls == 8
    assert inner.most_running < 8
    assert not budget.reached


def test_concurrent_calls_never_pass_the_limit(small):
    inner = SlowModel()
    model, _budget = make_model(inner, calls=5)
    refused = []

    def work(number):
        try:
            model.complete(replace(small, sample_index=number))
        except BudgetError as error:
            refused.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inner.n_calls == 5
    assert len(refused) == 7


def test_waiting_for_others_ends_when_the_run_is_stopped(small):
    cancel = threading.Event()
    budget = Budget(SpendingLimits(calls=1), cancel=cancel)
    budget.reserve(Usage(n_calls=1), "other")
    cancel.set()
    with pytest.raises(Interrupted):
        call(PaidModel(), budget).complete(small)


def test_what_an_earlier_process_spent_counts(tmp_path, small):
    path = tmp_path / "replies.sqlite"
    model, _ = make_model(path=path, calls=2)
    model.complete(small)
    again, budget = make_model(path=path, calls=2)
    assert budget.usage.n_calls == 1
    again.complete(small)
    with pytest.raises(BudgetError):
        again.complete(small)
    higher, _ = make_model(path=path, calls=3)
    higher.complete(small)


def test_unknown_model_counts_tokens_and_has_no_price(small):
    model, budget = make_model(PaidModel("my-own", "openai-compatible"), tokens=10_000)
    completion = model.complete(small)
    assert completion.usage.usd is None
    assert budget.usage.input_tokens == 1000


def test_limit_in_usd_for_a_model_without_a_price_is_refused():
    with pytest.raises(UsageError, match="none is known for 'my-own'") as caught:
        make_model(PaidModel("my-own", "openai-compatible"), usd=1.0)
    assert "--max-tokens" in caught.value.remedy


@pytest.mark.parametrize("provider", ["scripted", "offline", "replay", "manual", "local"])
def test_limit_in_usd_is_no_matter_for_what_is_free(provider, small):
    model, budget = make_model(PaidModel("anything", provider), usd=0.001)
    model.complete(small)
    assert budget.usage.usd is None


def test_price_is_that_of_the_model_asked_for_where_the_answer_names_another(small):
    class Renamed(PaidModel):
        def complete(self, request):
            return super().complete(request).model_copy(update={"model": "internal-name"})

    model, _budget = make_model(Renamed())
    assert model.complete(small).usage.usd == pytest.approx(price_usage(PaidModel().usage, CARD))


def test_tokens_that_a_server_does_not_report_are_counted_high(small):
    model, _budget = make_model(PaidModel(usage=Usage(n_calls=1)))
    usage = model.complete(small).usage
    assert usage.is_estimated
    assert usage.input_tokens == count_prompt_tokens(small)
    assert usage.output_tokens == 20
    assert usage.usd > 0


def test_failed_call_counts_as_a_call_and_costs_nothing(tmp_path, small):
    inner = PaidModel(failures=[RateLimitError("slow down", is_transient=True)])
    model, budget = make_model(inner, tmp_path / "replies.sqlite", calls=2)
    with pytest.raises(RateLimitError):
        model.complete(small)
    model.complete(small)
    assert budget.usage == PaidModel().usage.model_copy(update={"usd": budget.usage.usd})
    with pytest.raises(BudgetError, match="2 calls were made"):
        model.complete(small)
    failed, paid = read_calls(tmp_path)
    assert (failed.outcome, failed.is_failed) == ("slow down", True)
    assert paid.outcome == "stop"


def test_reply_that_broke_off_counts_with_its_worst_case(small):
    error = UnreachableError("ended early", is_transient=True, may_be_billed=True)
    worst = estimate_worst_case(small, CARD).usd
    model, budget = make_model(PaidModel(failures=[error]), usd=worst * 1.5)
    with pytest.raises(UnreachableError):
        model.complete(small)
    assert budget.usage == Usage()
    with pytest.raises(BudgetError):
        model.complete(small)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("stopped")])
def test_a_call_that_is_cut_off_counts_with_its_worst_case(tmp_path, error, small):
    model, _budget = make_model(PaidModel(failures=[error]), tmp_path / "replies.sqlite")
    with pytest.raises(type(error)):
        model.complete(small)
    [call] = read_calls(tmp_path)
    assert call.is_failed
    assert call.usage.is_estimated
    assert call.usage.usd == estimate_worst_case(small, CARD).usd


def test_a_call_that_the_end_of_the_run_cuts_off_is_noted_before_the_record_is_closed(
    tmp_path, small
):
    begun, cancel = threading.Event(), threading.Event()

    class Slow(PaidModel):
        def complete(self, request):
            begun.set()
            time.sleep(3)
            return super().complete(request)

    budget = Budget(replies=Replies(tmp_path / "replies.sqlite", "off"), cancel=cancel)
    model = CalledChatModel(Slow(), options=ProviderOptions(cancel=cancel), budget=budget)
    outcomes = []

    def work():
        try:
            model.complete(small)
        except Interrupted as error:
            outcomes.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    budget.close()
    [call] = read_calls(tmp_path)
    assert call.usage.usd == estimate_worst_case(small, CARD).usd
    thread.join()
    with pytest.raises(Interrupted):  # nothing is sent any more
        model.complete(small)
    assert len(outcomes) == len(read_calls(tmp_path)) == 1


def test_costs_by_agent_and_round_add_up(tmp_path, small):
    path = tmp_path / "replies.sqlite"
    model, _budget = make_model(path=path)
    for agent, iteration in (("designer", None), ("designer", 0), ("critic", 0), ("designer", 1)):
        model.complete(replace(small, agent=agent, iteration=iteration))
    records = read_calls(tmp_path)
    by_agent = group_usage(records, lambda record: record.agent)
    by_round = group_usage(records, name_round_of)
    assert {name: usage.n_calls for name, usage in by_agent.items()} == {"designer": 3, "critic": 1}
    assert list(by_round) == ["before the rounds", "round 1", "round 2"]
    for groups in (by_agent, by_round):
        assert sum(groups.values(), Usage()).usd == pytest.approx(sum_usage(records).usd)


def write_old_calls(folder, model):
    """Leave the calls of a model as earlier versions did: a file of lines, the last one cut off."""
    text = "".join(f"{call.model_dump_json()}\n" for call in model._budget.replies.calls)
    (folder / OLD_CALLS_FILE).write_text(text + '{"time": "2026')


def test_calls_of_an_earlier_version_are_read_and_a_half_written_line_is_passed_over(
    tmp_path, small
):
    model, _ = make_model()
    model.complete(small)
    write_old_calls(tmp_path, model)
    assert len(read_calls(tmp_path)) == 1
    again, budget = make_model(path=tmp_path / "replies.sqlite", calls=2)
    assert budget.usage.n_calls == 1
    again.complete(replace(small, sample_index=1))
    with pytest.raises(BudgetError):
        again.complete(replace(small, sample_index=2))
    assert len(read_calls(tmp_path)) == 2


@pytest.mark.parametrize("name", [n for n in list_models("openai") if n.startswith("gpt-6")])
def test_every_priced_model_has_a_worst_case(name, small):
    assert estimate_worst_case(small, find_model(name, "openai")).usd > 0


@given(
    limit=st.floats(0.001, 0.2),
    calls=st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000), st.floats(0, 1))),
)
def test_no_sequence_of_calls_passes_a_limit_in_usd(limit, calls):
    """As long as a reply is not longer than asked for, and a prompt not dearer than counted."""
    budget = Budget(SpendingLimits(usd=limit))
    for n_chars, max_output, share in calls:
        request = ChatRequest(
            "designer", "x", (ChatMessage("user", "a" * n_chars),), max_output_tokens=max_output
        )
        usage = Usage(
            n_calls=1,
            input_tokens=count_prompt_tokens(request),
            output_tokens=int(share * max_output),
        )
        try:
            call(PaidModel(usage=usage), budget).complete(request)
        except BudgetError:
            assert budget.reached
            break
    assert (budget.usage.usd or 0.0) <= limit
