"""The allow-lists are consistent, and safe by the kind of what they name."""

import ast
import types

import numpy as np

from reward_agent.rewards import language
from reward_agent.rewards.library import describe_library

DANGEROUS = """
    load save savez savetxt loadtxt genfromtxt fromfile tofile memmap frombuffer fromstring fromregex
    fromiter fromfunction frompyfunc vectorize piecewise apply_along_axis apply_over_axes seterr
    seterrcall seterrobj setbufsize set_printoptions get_include show_config info test random f2py
    ctypeslib testing lib core ma char rec polynomial fft emath exceptions dtypes strings typing
    nditer ndenumerate ndindex flatiter broadcast matrix asmatrix bmat r_ c_ put putmask place copyto
    put_along_axis fill_diagonal require asanyarray datetime64 void object_ dtype errstatecall resize
    shares_memory may_share_memory from_dlpack recarray
""".split()  # noqa: SIM905


def test_nothing_that_reads_writes_calls_back_or_leads_on_is_listed():
    assert not language.NUMPY_NAMES & set(DANGEROUS)


def test_no_listed_name_is_a_module_but_the_submodules_with_lists_of_their_own():
    modules = {
        name
        for name in language.NUMPY_NAMES
        if isinstance(getattr(np, name, None), types.ModuleType)
    }
    assert modules == set(language.NUMPY_SUBMODULES)


def test_names_listed_as_ufuncs_are_ufuncs():
    present = [name for name in language.NUMPY_UFUNCS if hasattr(np, name)]
    assert all(isinstance(getattr(np, name), np.ufunc) for name in present)


def test_names_listed_as_types_are_number_types():
    present = [getattr(np, name) for name in language.NUMPY_TYPES if hasattr(np, name)]
    assert all(np.dtype(kind).kind in "fiub" for kind in present)


def test_no_list_holds_a_private_name():
    lists = [value for value in vars(language).values() if isinstance(value, frozenset)]
    names = [name for words in lists for name in words if isinstance(name, str)]
    assert len(names) > 500
    assert not [name for name in names if name.startswith("_")]


def test_methods_and_reserved_attributes_do_not_meet_in_dangerous_names():
    dangerous = {"base", "ctypes", "data", "dump", "dumps", "flags", "flat", "format_map", "gi_frame",
                 "resize", "setflags", "tobytes", "tofile", "view", "with_traceback", "fromhex",
                 "partition", "put", "at", "send", "throw", "getfield", "setfield"}  # fmt: skip
    assert not language.METHODS & dangerous
    assert dangerous <= language.RESERVED_ATTRIBUTES


def test_syntax_that_runs_at_definition_or_keeps_frames_is_not_listed():
    for kind in (ast.ClassDef, ast.While, ast.Yield, ast.YieldFrom, ast.Await, ast.Global,
                 ast.Nonlocal, ast.Match, ast.MatchClass, ast.TryStar, ast.AsyncFunctionDef):  # fmt: skip
        assert kind not in language.NODES


def test_description_for_prompts_is_short_and_lists_only_what_is_accepted():
    text = language.describe_language()
    assert len(text) < 2_800
    assert max(len(line) for line in text.splitlines()) <= 100
    assert language._SHOWN_NUMPY <= language.NUMPY_NAMES
    assert language._SHOWN_MEMBERS <= language.METHODS
    assert language._SHOWN_BUILTINS <= language.BUILTINS
    assert len(describe_library()) < 2_000
