"""``python battery.py WORLD KERNEL``: be the parent, as whoever runs this; let a child try it all.

Prints one JSON object: level, outcome and verdict of each attack, and outcome of each fatal call.
"""

import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from support.hostile import make_hostile_server, run_hostile_job  # noqa: E402

FATAL = {
    "trace_the_parent": "LIBC.ptrace(16, os.getppid(), 0, 0)",
    "write_the_parents_memory": "LIBC.process_vm_writev(os.getppid(), 0, 0, 0, 0, 0)",
    "make_a_namespace": "LIBC.unshare(0x10000000)",
    "enter_a_namespace": "LIBC.setns(0, 0)",
    "mount": "LIBC.mount(b'none', b'/mnt', b'tmpfs', 0, None)",
    "use_the_keyring": "syscall('keyctl', 0, -3, 0)",
    "load_a_bpf_program": "syscall('bpf', 0, 0, 0)",
    "make_an_io_uring": "syscall('io_uring_setup', 1, 0)",
    "handle_page_faults": "syscall('userfaultfd', 0)",
    "count_events_of_others": "syscall('perf_event_open', 0, 0, 0, 0, 0)",
}
# Harmless to the machine, so they are also tried where they should succeed: without a sandbox.
HARMLESS = (
    "read_the_metric",
    "read_a_file_of_the_user",
    "read_etc_passwd",
    "read_through_a_link_of_the_environment",
    "read_through_a_linked_folder_of_the_environment",
    "read_another_job",
    "list_the_users_folder",
    "read_the_parents_environment",
    "read_through_the_root_of_proc",
    "open_by_path_descriptor",
    "write_into_another_job",
    "make_a_file_in_another_job",
    "change_the_metric",
    "truncate_by_path",
    "change_permissions_outside",
    "change_times_outside",
    "make_a_set_user_id_file",
    "make_a_pipe_in_the_job_folder",
    "make_a_file_without_a_name",
    "listen_on_a_port",
    "open_a_local_socket",
    "fork",
    "start_a_program",
    "signal_the_parent",
    "survive_the_parent",
    "make_an_anonymous_file",
    "watch_a_folder",
)
# What the kernel pretends to lack, and the mode in which it is tried.
KERNELS = {
    "newest": (None, "strict"),
    "newest, warm child": (None, "strict"),
    "first with Landlock": ("first_landlock", "strict"),
    "without Landlock": ("no_landlock", "default"),
}
PRELUDE = """
import ctypes, os
from reward_agent.sandbox import filter as calls
LIBC = ctypes.CDLL(None)
COLUMN = ["x86_64", "aarch64"].index(os.uname().machine)
NUMBERS = calls.parse_numbers(calls.FATAL_CALLS, COLUMN)
def syscall(name, *arguments): return LIBC.syscall(NUMBERS[name], *arguments)
"""


def main(world, kernel):
    lack, mode = KERNELS[kernel]
    if lack:
        (world / "job").mkdir()
        (world / "job" / lack).touch()
    exits = {}
    attacks = (HERE / "attacks.py").read_text()
    warm = make_hostile_server() if kernel.endswith("warm child") else None
    job_exit = run_hostile_job(world / "job", attacks, mode=mode, warm=warm)
    verdicts = json.loads(job_exit.result.findings[0].message) if job_exit.result else {}
    # The filter is the same on all kernels, so one call is enough on the older ones.
    fatal = FATAL if kernel.startswith("newest") else {"mount": FATAL["mount"]}
    for name, expression in fatal.items():
        fatal_exit = run_hostile_job(world / "job", PRELUDE + expression, mode=mode, warm=warm)
        exits[name] = str(fatal_exit.outcome)
    open_exit = run_hostile_job(world / "open_job", f"only = {HARMLESS}\n{attacks}", mode="off")
    if warm:
        warm.close()
    answer = {
        "level_without": open_exit.level,
        "without_sandbox": json.loads(open_exit.result.findings[0].message),
        "uid": os.getuid(),
        "level": job_exit.level,
        "outcome": str(job_exit.outcome),
        "tail": job_exit.stderr_tail,
        "verdicts": verdicts,
        "fatal": exits,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
