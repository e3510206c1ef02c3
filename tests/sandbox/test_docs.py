import re
from pathlib import Path

import reward_agent.sandbox

HERE = Path(__file__).parent
# What the package's docstring promises, and the attacks and tests that try it.
TRIED = {
    "Files are not read": (
        "read_the_metric",
        "read_a_file_of_the_user",
        "read_another_job",
        "read_through_the_root_of_proc",
        "read_through_a_link_of_the_environment",
        "read_through_a_linked_folder_of_the_environment",
        "open_by_path_descriptor",
    ),
    "Files are not changed": (
        "change_the_metric",
        "change_the_env_card",
        "write_into_another_job",
        "move_a_file_out",
        "truncate_by_path",
        "change_permissions_outside",
        "change_times_outside",
        "change_an_installed_package",
    ),
    "No traps in the job's folder": (
        "read_through_a_symbolic_link",
        "make_a_pipe_in_the_job_folder",
        "make_a_set_user_id_file",
        "test_links_and_pipes_in_the_folder_are_never_followed",
        "test_job_that_leaves_a_trap_cannot_harm_the_next_one",
    ),
    "Keys are out of reach": (
        "read_the_parents_environment",
        "find_the_key_in_this_environment",
        "read_the_parents_memory",
        "find_an_inherited_descriptor",
        "test_no_key_passes_into_the_environment",
    ),
    "No network": (
        "open_a_tcp_socket",
        "open_a_udp_socket",
        "open_a_local_socket",
        "open_a_netlink_socket",
    ),
    "No process": (
        "fork",
        "start_a_program",
        "clone_with_new_api",
        "leave_the_process_group",
        "test_processes_left_behind_by_an_open_job_are_killed",
    ),
    "No other process is touched": (
        "signal_the_parent",
        "own_signals_of_a_descriptor",
        "lower_the_parents_priority",
        "limit_the_parent",
        "test_fatal_calls_end_the_job_with_a_name",
    ),
    "The kernel's surface is small": (
        "make_sysv_shared_memory",
        "watch_a_folder",
        "test_fatal_calls_end_the_job_with_a_name",
        "test_unknown_and_foreign_calls_are_denied",
    ),
    "The walls cannot be taken down": (
        "raise_a_limit",
        "survive_the_parent",
        "become_another_user",
        "test_wall_with_a_hole_ends_the_job_in_every_mode",
    ),
    "Nothing is used up": (
        "test_timeout_ends_threads_that_swallow_everything",
        "test_cpu_hog_ends",
        "test_memory_hog_ends",
        "test_shared_memory_hog_is_killed_by_the_parent",
        "test_full_disk_is_stopped",
        "test_removed_files_that_stay_open_count_as_disk",
        "test_file_too_large_is_refused",
        "test_too_many_open_files_are_refused",
        "test_flood_of_threads_is_stopped",
        "test_flood_of_output_is_stopped",
    ),
    "No orphans": ("test_sigkill_of_the_parent_ends_the_child",),
    "A result is a reply of a stranger": (
        "test_forged_result_is_refused",
        "test_broken_result_is_refused",
        "test_text_of_a_child_cannot_steer_a_terminal",
    ),
    "Attempts are told": ("test_attempt_that_the_program_hides_is_told",),
}


def find_names(pattern, paths):
    return {name for path in paths for name in re.findall(pattern, path.read_text(), re.MULTILINE)}


def test_every_covered_property_is_tried_by_tests_that_exist():
    text = reward_agent.sandbox.__doc__
    covered = text[text.index("\n- **") : text.index("\nNot covered")]
    assert re.findall(r"^- \*\*(.+?)\*\*", covered, re.MULTILINE) == list(TRIED)
    attacks = find_names(r"^@attack\ndef (\w+)", [HERE / "attacks.py"])
    tests = find_names(r"^def (test_\w+)", HERE.glob("test_*.py"))
    for promise, named in TRIED.items():
        assert set(named) <= attacks | tests, promise


def test_every_line_of_the_table_of_walls_names_files_that_exist():
    root = HERE.parents[1]
    text = (root / "docs" / "safety.md").read_text()
    safety = text.split("\n## What holds it\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in safety.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 7
    for held, _, tried in rows:
        named = re.findall(r"`((?:tests|scripts)/[\w/.]+)`", tried)
        assert named, held
        assert [name for name in named if not (root / name).is_file()] == []
