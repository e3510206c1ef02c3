"""The node's side: a parcel comes in, its job runs in the same sandbox, a parcel goes out.

``python -m reward_agent.executors.node FOLDER`` does it with files, ``work`` with bytes. A node
holds no key and no run: whatever it needs is in the parcel, and it may vanish at any moment.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import sys
import threading
import zipfile
from pathlib import Path
from types import FrameType

from reward_agent.errors import RewardAgentError, UsageError
from reward_agent.executors.journal import describe_exit
from reward_agent.executors.parcel import Order, Reply, pack_reply, read_files, unpack_order
from reward_agent.files import make_scratch, write_atomic
from reward_agent.records.job import Job, RowCallback
from reward_agent.sandbox.runner import JobExit, run_job
from reward_agent.version import __version__

ORDER_FILE, REPLY_FILE, ROWS_FILE = "order.zip", "reply.zip", "rows.jsonl"


def work(
    parcel: bytes, on_progress: RowCallback | None = None, cancel: threading.Event | None = None
) -> bytes:
    """Do the job of a parcel in a folder of this node, and return what became of it.

    A failure of ours is told in the reply and never raised: an exception that leaves here means
    that the node itself is not well.
    """
    with make_scratch() as scratch:
        job_dir = scratch / "job"
        job_dir.mkdir()
        try:
            order, files, env = unpack_order(parcel)
            if order.version != __version__:  # it would give other numbers
                raise UsageError(
                    f"the node has reward-agent {__version__}, the driver {order.version}",
                    "install the same version on every node",
                )
            job = _place_env(order.job, env, scratch / "env")
            for name, data in files.items():
                (job_dir / name).write_bytes(data)
            job_exit = run_job(
                job,
                job_dir,
                limits=order.limits,
                mode=order.mode,
                on_progress=on_progress,
                cancel=cancel,
            )
        except RewardAgentError as error:
            reply = Reply(
                node=socket.gethostname(),
                error=type(error).__name__,
                message=error.message,
                remedy=error.remedy,
            )
            return pack_reply(reply, {})
        return _pack_end(order, files, job_exit, job_dir)


def _pack_end(order: Order, files: dict[str, bytes], job_exit: JobExit, job_dir: Path) -> bytes:
    """Return the parcel of a job's end, with what it changed alone."""
    left = read_files(job_dir, order.limits)
    changed = {name: data for name, data in left.items() if files.get(name) != data}
    reply = Reply(
        node=socket.gethostname(),
        exit=describe_exit(order.job, job_exit, order.limits),
        removed=tuple(sorted(files.keys() - left.keys())),
    )
    return pack_reply(reply, changed)


def _place_env(job: Job, env: bytes, folder: Path) -> Job:
    """Return the job with the environment's own folder, if it brought one, on this node."""
    if not env:
        return job
    with zipfile.ZipFile(io.BytesIO(env)) as archive:
        archive.extractall(folder)
    card = job.card.model_copy(update={"folder": str(folder)})
    return job.model_copy(update={"card": card})


def run_in_folder(folder: Path) -> int:
    """Do the order of a folder on a disk that driver and node share; 0 when the reply is there."""
    if (folder / REPLY_FILE).is_file():  # it was done before the node was lost
        return 0
    cancel = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        cancel.set()

    signal.signal(signal.SIGTERM, stop)
    with (folder / ROWS_FILE).open("a", encoding="utf-8") as rows:

        def report(row: dict[str, float]) -> None:
            rows.write(json.dumps(row) + "\n")
            rows.flush()

        reply = work((folder / ORDER_FILE).read_bytes(), report, cancel)
    if cancel.is_set():  # whoever stopped the node may want the job run elsewhere
        return os.EX_TEMPFAIL
    write_atomic(folder / REPLY_FILE, reply)
    return 0


if __name__ == "__main__":
    sys.exit(run_in_folder(Path(sys.argv[1])))
