"""A Ray cluster started here: on loopback alone, and without a key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import list_descendants

from reward_agent.errors import UsageError
from reward_agent.executors.remote import ClusterOptions

SECRET = "a-key-of-the-driver"

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def head() -> Iterator[int]:
    """The process that holds the cluster."""
    from reward_agent.executors import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", SECRET)
        nodes = ray.make_nodes(ClusterOptions(slots=1))
    assert ray._shared._head is not None
    yield ray._shared._head.pid
    nodes.close()
    assert ray._shared._head is None


def list_listening(pids: list[int]) -> list[str]:
    """Return the addresses at which processes listen, as /proc/net has them."""
    sockets = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(str(link.readlink()))
            except OSError:
                continue
    text = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    rows = [line.split() for line in text.splitlines()]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets]


def test_only_loopback_is_listened_at(head: int) -> None:
    found = list_listening([head, *list_descendants(head)])
    assert len(found) > 3, "no ports were found: the test shows nothing"
    outer = [address for address in found if not is_loopback(address)]
    assert not outer, outer


def is_loopback(address: str) -> bool:
    host = address.partition(":")[0]
    mapped = "0000000000000000FFFF0000"  # ::ffff:127.0.0.1
    return host.removeprefix(mapped) == "0100007F" or host == "0" * 24 + "01000000"


def test_no_process_of_the_cluster_has_a_key(head: int) -> None:
    pids = [head, *list_descendants(head)]
    assert len(pids) > 3
    environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in pids]
    assert any(b"PATH=" in environment for environment in environments)
    assert not any(SECRET.encode() in environment for environment in environments)


@pytest.mark.usefixtures("head")
def test_gpus_that_no_node_has_are_refused_and_not_waited_for() -> None:
    from reward_agent.executors import ray

    with pytest.raises(UsageError, match=r"no node has 1 CPUs and 2 GPUs"):
        ray.make_nodes(ClusterOptions(slots=1, job_gpus=2))
