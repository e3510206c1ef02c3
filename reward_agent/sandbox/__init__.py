"""The isolation of children that load generated code, and the parent's distrust of their answers.

The parent side is ``runner.run_job``; the child side is ``seal.Seal``. Everything works as an
ordinary user, without a package beyond the standard library and without a container engine.
A warm child (``warm.WarmServer``) is a fork of a process that imported the libraries and loaded
nothing generated; it seals itself as a fresh one does, and every attack is tried in it as well.

Covered at the levels ``full`` and ``namespaces``, with what enforces it; the names are those of
attacks in ``tests/sandbox/attacks.py`` (each tried in a real child, as root and as an ordinary
user, under both levels) and of tests beside it:

- **Files are not read**: only packages, system libraries and the env's folder without its tasks.
  Landlock, else a private root. Tried by ``read_the_metric``, ``read_a_file_of_the_user``,
  ``read_another_job``, ``read_through_the_root_of_proc``, ``open_by_path_descriptor``.
- **Files are not changed**: not their content, names, permissions, owners or times. Landlock, else
  read-only mounts; the filter where those do not look. Tried by ``change_the_metric``,
  ``change_the_env_card``, ``write_into_another_job``, ``move_a_file_out``, ``truncate_by_path``,
  ``change_permissions_outside``, ``change_times_outside``, ``change_an_installed_package``.
- **No traps in the job's folder**: no link, pipe, device, set-user-id file. The filter, and a
  parent that opens nothing but plain files. Tried by ``read_through_a_symbolic_link``,
  ``make_a_pipe_in_the_job_folder``, ``make_a_set_user_id_file``,
  ``test_links_and_pipes_in_the_folder_are_never_followed``,
  ``test_job_that_leaves_a_trap_cannot_harm_the_next_one``.
- **Keys are out of reach**: an allow-listed environment from the start, no view of the parent's.
  Tried by ``read_the_parents_environment``, ``find_the_key_in_this_environment``,
  ``read_the_parents_memory``, ``find_an_inherited_descriptor``,
  ``test_no_key_passes_into_the_environment``.
- **No network**, nor any other socket. The filter. Tried by ``open_a_tcp_socket``,
  ``open_a_udp_socket``, ``open_a_local_socket``, ``open_a_netlink_socket``.
- **No process**: none is started, none is left behind. The filter, the process group. Tried by
  ``fork``, ``start_a_program``, ``clone_with_new_api``, ``leave_the_process_group``,
  ``test_processes_left_behind_by_an_open_job_are_killed``.
- **No other process is touched**: no signal, trace, priority, limit. The filter. Tried by
  ``signal_the_parent``, ``own_signals_of_a_descriptor``, ``lower_the_parents_priority``,
  ``limit_the_parent``, ``test_fatal_calls_end_the_job_with_a_name``.
- **The kernel's surface is small**: no namespaces, mounts, keyring, BPF, io_uring, userfaultfd,
  perf, modules, System V memory. The filter; the worst of these end the process by name. Tried by
  ``make_sysv_shared_memory``, ``watch_a_folder``,
  ``test_fatal_calls_end_the_job_with_a_name``, ``test_unknown_and_foreign_calls_are_denied``.
- **The walls cannot be taken down**. Tried by ``raise_a_limit``, ``survive_the_parent``,
  ``become_another_user``, ``test_wall_with_a_hole_ends_the_job_in_every_mode``.
- **Nothing is used up**: time, CPU, memory (shared memory too), disk (nameless files too), one
  file, open files, threads, output. The kernel's limits, and the parent that watches. Tried by
  ``test_timeout_ends_threads_that_swallow_everything``, ``test_cpu_hog_ends``,
  ``test_memory_hog_ends``, ``test_shared_memory_hog_is_killed_by_the_parent``,
  ``test_full_disk_is_stopped``, ``test_removed_files_that_stay_open_count_as_disk``,
  ``test_file_too_large_is_refused``, ``test_too_many_open_files_are_refused``,
  ``test_flood_of_threads_is_stopped``, ``test_flood_of_output_is_stopped``.
- **No orphans**: a child ends with its parent, even after SIGKILL. Tried by
  ``test_sigkill_of_the_parent_ends_the_child``.
- **A result is a reply of a stranger**: its size, form, ranges and identity are checked. Tried by
  ``test_forged_result_is_refused``, ``test_broken_result_is_refused``,
  ``test_text_of_a_child_cannot_steer_a_terminal``.
- **Attempts are told**: an attempt that fails raises in the program, the worst end the process, and
  what a program hides stands in the output (best effort: native code can pass by). Tried by
  ``test_attempt_that_the_program_hides_is_told``.

Not covered:

- A program can lie about its own training. The score does not come from there: evaluation is
  another child, which loads no generated code.
- Whether a file outside exists, its size and times can be asked at level ``full``; its content
  cannot be read. Installed packages and system facts (processor, load, time) are readable.
- Bugs in the kernel's permitted calls, timing and cache side channels.
- Between two looks of the parent (0.1 s for memory, 1 s for disk) a job can exceed these bounds, by
  what the machine can write in that time.
- A rendering job may use the graphics driver. It loads no generated code.
- A folder that the user names as package path or env is readable as a whole, but for ``tasks``.
- At level ``process`` (macOS, Windows, other processors, containers that forbid both mechanisms)
  there are a scrubbed environment, limits, timeouts and the checks of results; files, network and
  processes are open. Memory is not watched there, and outside Linux orphans are not ended.
"""
