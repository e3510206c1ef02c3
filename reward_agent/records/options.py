"""The settings of a run as keyword arguments, by their names and types.

Made of ``RunSettings``: an editor completes them, a type checker knows them. A test holds both
to be the same.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from reward_agent.records.settings import EndpointSettings, Judged, Preset, PriceTable, Recall
from reward_agent.types import VideoQuality


class RunOptions(TypedDict, total=False):
    """Each setting that ``RunSettings`` describes; what is not said is decided elsewhere."""

    preset: Preset
    candidates: int
    iterations: int
    steps: int
    algo: str | None
    winner_seeds: int
    seed: int
    racing: Literal["none", "halving", "bandit"]
    warm_start: bool
    reward_only: bool
    eval_episodes: int
    target_score: float | None
    early_stop: bool
    own_reward: bool | None
    max_repairs: int
    adversary_steps: int | None
    critic: bool
    analyzer: bool
    judge: Judged
    recall: Recall
    screens: bool
    provider: str | None
    model: str | None
    base_url: str | None
    effort: str | None
    temperature: float | None
    reply_tokens: int
    silence_timeout_s: float
    call_timeout_s: float
    attempts: int
    concurrency: int | None
    context_tokens: int | None
    headers: dict[str, Any]
    body: dict[str, Any]
    prices: PriceTable | None
    pictures: bool
    critic_model: EndpointSettings | None
    analyzer_model: EndpointSettings | None
    judge_model: EndpointSettings | None
    max_usd: float | None
    max_tokens: int | None
    max_calls: int | None
    cache: Literal["read-write", "read-only", "refresh", "off"]
    executor: str
    ray_address: str | None
    job_cpus: int
    job_gpus: float
    slots: int
    device: Literal["cpu", "gpu", "auto", "warp-cpu"]
    sandbox: Literal["strict", "default", "any", "off"]
    trust_config: bool
    python: str | None
    training_timeout_s: float
    memory_mib: int
    video: bool
    video_quality: VideoQuality
