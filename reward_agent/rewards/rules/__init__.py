"""The static rules: each is one function that yields findings on a program.

A new rule is one function in one of these modules, one row in ``RULES``, and one good and one bad
snippet in ``tests/rewards/test_checks.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reward_agent.rewards.rules import (
    attributes,
    calls,
    entry,
    loops,
    names,
    purity,
    quality,
    syntax,
)
from reward_agent.rewards.rules.context import Context
from reward_agent.types import Finding

Rule = Callable[[Context], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    syntax.check_nodes,
    syntax.check_functions,
    syntax.check_sets,
    syntax.check_constants,
    syntax.check_arithmetic,
    syntax.check_power_calls,
    syntax.check_exceptions,
    syntax.check_with,
    syntax.check_formatting,
    syntax.check_format_calls,
    names.check_imports,
    names.check_modules,
    names.check_bindings,
    names.check_names,
    names.check_dunder_keywords,
    names.check_annotations,
    attributes.check_attributes,
    calls.check_keywords,
    calls.check_dtypes,
    calls.check_sizes,
    calls.check_where,
    calls.check_pad_modes,
    calls.check_addresses,
    calls.check_types_as_values,
    calls.check_typing_names,
    loops.check_growing_loops,
    loops.check_recursion,
    loops.check_ranges,
    loops.check_iterators,
    loops.check_steps,
    purity.check_writes_to_inputs,
    purity.check_module_state,
    purity.check_mutable_defaults,
    entry.check_module,
    entry.check_duplicates,
    entry.check_entries,
    entry.check_memory,
    entry.check_returns,
)
QUALITY_RULES: tuple[Rule, ...] = (
    quality.check_ignored_next_state,
    quality.check_unused_terms,
    quality.check_exponents,
    quality.check_potential_calls,
    quality.check_slow_loops,
    quality.check_broad_excepts,
    quality.check_portability,
    quality.check_magic_numbers,
)
