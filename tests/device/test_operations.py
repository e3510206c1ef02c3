"""A list of operations is verified before it runs, whatever a stranger wrote into it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_agent.device import operations as module
from reward_agent.device.operations import ALLOWED, Runner
from reward_agent.errors import DataError
from reward_agent.records.operations import (
    Constant,
    Earlier,
    GivenArray,
    OfType,
    Operations,
    Output,
    Rows,
    Step,
)

X = Earlier(of=0)


def make(*steps: Step, constants: tuple[Constant, ...] = (), last: int | None = None) -> Operations:
    """Operations on one input (rows, 3), whose last step is handed back."""
    number = len(constants) + len(steps) if last is None else last
    return Operations(
        inputs=(GivenArray(name="x", shape=(3,)),),
        constants=constants,
        steps=steps,
        outputs=(Output(name="y", value=Earlier(of=number)),),
    )


def run(operations: Operations, rows: int = 4) -> torch.Tensor:
    x = torch.arange(rows * 3, dtype=torch.float32).reshape(rows, 3)
    return Runner(operations, rows, "cpu")({"x": x})["y"]


def test_every_name_on_the_list_is_an_operation_and_none_is_in_place() -> None:
    for name in ALLOWED:
        assert callable(module._find_overload(name))
        assert not name.partition(".")[0].endswith("_")
    assert not {"as_strided", "set_", "resize_", "from_file", "nonzero"} & ALLOWED


def test_literals_follow_the_number_of_rows() -> None:
    step = Step(
        op="full", args=((Rows(rows=1), 2), 7.0), keywords={"dtype": OfType(dtype="float32")}
    )
    assert run(make(step), rows=5).shape == (5, 2)


@pytest.mark.parametrize(
    "step",
    [
        Step(op="as_strided", args=(X, (4,), (1,))),
        Step(op="set_.source_Tensor", args=(X, X)),
        Step(op="add_.Tensor", args=(X, X)),
        Step(op="nonzero", args=(X,)),
        Step(op="add.Tensor", args=(X, Earlier(of=1))),
        Step(op="add.Tensor", args=(X, Earlier(of=900))),
        Step(op="add.Tensor", args=(X, Earlier(of=0, part=50))),
        Step(op="add.Tensor", args=("x", X)),
        Step(op="repeat", args=(X, (10**6, 1))),
        Step(op="full", args=((10**6, 10**6), 1.0)),
        Step(op="expand", args=(X, (10**6, 4, 3))),
        Step(op="index.Tensor", args=(X, (Earlier(of=0),))),
        Step(op="sum", args=(X,), keywords={"out": X}),
    ],
    ids=lambda step: step.op,
)
def test_what_is_not_allowed_is_refused_before_it_runs(step: Step) -> None:
    with pytest.raises(DataError, match="cannot be run"):
        Runner(make(step), 4, "cpu")


def test_an_index_beyond_the_end_takes_the_last() -> None:
    far = Constant(shape=(2,), dtype="int64", values=(10**9, -(10**9)))
    step = Step(op="index.Tensor", args=(X, (None, Earlier(of=1))))
    assert run(make(step, constants=(far,))).tolist()[0] == [2.0, 0.0]


def test_what_is_given_is_never_written_to() -> None:
    x = torch.ones(4, 3)
    steps = (Step(op="fill.Scalar", args=(X, 5.0)), Step(op="copy", args=(X, Earlier(of=1))))
    Runner(make(*steps), 4, "cpu")({"x": x})
    assert (x == 1).all()


ITEMS = st.one_of(
    st.builds(Earlier, of=st.integers(0, 4), part=st.none() | st.integers(0, 2)),
    st.integers(-5, 5),
    st.floats(-2, 2),
    st.booleans(),
    st.none(),
    st.builds(Rows, rows=st.integers(-2, 2), plus=st.integers(-3, 3)),
    st.builds(OfType, dtype=st.sampled_from(["bool", "int64", "float32"])),
)
STEPS = st.builds(
    Step,
    op=st.sampled_from(sorted(ALLOWED)),
    args=st.lists(ITEMS | st.lists(ITEMS, max_size=3).map(tuple), max_size=4).map(tuple),
    keywords=st.dictionaries(st.sampled_from(["dtype", "dim", "keepdim"]), ITEMS, max_size=1),
)


@settings(max_examples=300)
@given(st.lists(STEPS, min_size=1, max_size=4))
def test_what_the_verifier_takes_runs_and_gives_what_it_said(steps: list[Step]) -> None:
    operations = make(*steps)
    x = torch.ones(4, 3)
    try:
        runner = Runner(operations, 4, "cpu")
    except DataError:
        return
    try:
        found = runner({"x": x})["y"]
    except RuntimeError:  # such as a whole number divided by 0: an error, no other harm
        return
    assert tuple(found.shape) == tuple(runner.shapes["y"].shape)
    assert (x == 1).all()
