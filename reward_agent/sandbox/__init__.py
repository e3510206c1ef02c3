"""The isolation of children that load generated code, and the parent's distrust of their answers.

The parent side is ``runner.run_job``; the child side is ``seal.Seal``. Everything works as an
ordinary user, without a package beyond the standard library and without a container engine.
A warm child (``warm.WarmServer``) is a fork of a process that imported the libraries and loaded
nothing generated; it seals itself as a fresh one does, and every attack is tried in it as well.

Covered at the levels ``full`` and ``namespaces``, with what enforces it. Each line is tried in real
children, as root and as an ordinary user, under both levels: ``tests/sandbox/test_docs.py`` says by
which attacks and tests.

- **Files are not read**: only packages, system libraries and the env's folder without its tasks.
  Landlock, else a private root.
- **Files are not changed**: not their content, names, permissions, owners or times. Landlock, else
  read-only mounts; the filter where those do not look.
- **No traps in the job's folder**: no link, pipe, device, set-user-id file. The filter, and a
  parent that opens nothing but plain files.
- **Keys are out of reach**: an allow-listed environment from the start, no view of the parent's.
- **No network**, nor any other socket. The filter.
- **No process**: none is started, none is left behind. The filter, the process group.
- **No other process is touched**: no signal, trace, priority, limit. The filter.
- **The kernel's surface is small**: no namespaces, mounts, keyring, BPF, io_uring, userfaultfd,
  perf, modules, System V memory. The filter; the worst of these end the process by name.
- **The walls cannot be taken down**.
- **Nothing is used up**: time, CPU, memory (shared memory too), disk (nameless files too), one
  file, open files, threads, output. The kernel's limits, and the parent that watches.
- **No orphans**: a child ends with its parent, even after SIGKILL.
- **A result is a reply of a stranger**: its size, form, ranges and identity are checked.
- **Attempts are told**: an attempt that fails raises in the program, the worst end the process, and
  what a program hides stands in the output (best effort: native code can pass by).

Not covered:

- A program can lie about its own training. The score does not come from there: evaluation is
  another child, which loads no generated code.
- Whether a file outside exists, its size and times can be asked at level ``full``; its content
  cannot be read. Installed packages and system facts (processor, load, time) are readable.
- Bugs in the kernel's permitted calls, timing and cache side channels.
- Between two looks of the parent (0.1 s for memory, 1 s for disk) a job can exceed these bounds, by
  what the machine can write in that time.
- A rendering job may use the graphics driver. It loads no generated code.
- A folder that the user names as package path or env is readable as a whole, but for ``tasks`` and
  for what an env's links lead to.
- At level ``process`` (macOS, Windows, other processors, containers that forbid both mechanisms)
  there are a scrubbed environment, limits, timeouts and the checks of results; files, network and
  processes are open. Memory is not watched there, and outside Linux orphans are not ended.
"""
