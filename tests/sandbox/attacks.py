"""Attempts of a hostile program, run in the sealed child by ``test_escape``.

Each function tries one thing and returns only if it got it. The world around the job's folder is
laid out by ``make_world`` in ``test_escape``: ``envs``, ``other_job``, ``home``.
"""

import ctypes
import json
import mmap
import os
import pathlib
import signal
import socket
import subprocess
import sys

WORLD = job_dir.parent  # noqa: F821 - bound by hostile_worker
OTHER = WORLD / "other_job"
SECRET = WORLD / "home" / "secret.txt"
METRIC = WORLD / "envs" / "hopper" / "tasks" / "hop_forward" / "metric.py"
LIBC = ctypes.CDLL(None, use_errno=True)
ATTACKS = {}


def attack(function):
    ATTACKS[function.__name__] = function
    return function


def call(name, *arguments):
    """Call the C library; raise as Python would."""
    result = getattr(LIBC, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def c_path(path):
    return ctypes.c_char_p(str(path).encode())


@attack
def find_an_inherited_descriptor():
    own = {"/dev/null", f"{WORLD}/job/output.txt"}
    open_now = set()
    for number in range(64):
        try:
            open_now.add(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    assert open_now - own, open_now


# --- reading ------------------------------------------------------------------------------------


@attack
def read_the_metric():
    METRIC.read_text()


@attack
def read_through_a_link_of_the_environment():
    (METRIC.parents[2] / "secret.txt").read_text()


@attack
def read_through_a_linked_folder_of_the_environment():
    (METRIC.parents[2] / "assets" / "secret.txt").read_text()


@attack
def read_a_file_of_the_user():
    SECRET.read_text()


@attack
def read_etc_passwd():
    pathlib.Path("/etc/passwd").read_text()


@attack
def read_another_job():
    (OTHER / "result.json").read_text()


@attack
def list_the_users_folder():
    os.listdir(SECRET.parent)


@attack
def read_the_parents_environment():
    assert b"sk-canary" in pathlib.Path(f"/proc/{os.getppid()}/environ").read_bytes()


@attack
def read_the_parents_memory():
    os.open(f"/proc/{os.getppid()}/mem", os.O_RDONLY)


@attack
def read_the_parents_command_line():
    pathlib.Path(f"/proc/{os.getppid()}/cmdline").read_bytes()


@attack
def read_through_the_root_of_proc():
    pathlib.Path(f"/proc/self/root{SECRET}").read_text()


@attack
def read_through_the_parents_working_directory():
    os.listdir(f"/proc/{os.getppid()}/cwd/")


@attack
def read_through_a_symbolic_link():
    os.symlink(SECRET, "link")


@attack
def read_through_a_hard_link():
    os.link(SECRET, "link")


@attack
def open_by_path_descriptor():
    handle = os.open(SECRET, os.O_PATH)
    os.open(f"/proc/self/fd/{handle}", os.O_RDONLY)


@attack
def find_the_key_in_this_environment():
    assert b"sk-canary" in pathlib.Path("/proc/self/environ").read_bytes()


# --- changing -----------------------------------------------------------------------------------


@attack
def write_into_another_job():
    (OTHER / "result.json").write_text("{}")


@attack
def append_to_another_job():
    os.open(OTHER / "result.json", os.O_WRONLY | os.O_APPEND)


@attack
def make_a_file_in_another_job():
    (OTHER / "new.txt").touch()


@attack
def make_a_folder_outside():
    (WORLD / "new").mkdir()


@attack
def remove_a_file_outside():
    SECRET.unlink()


@attack
def rename_a_file_outside():
    SECRET.rename(SECRET.with_suffix(".gone"))


@attack
def move_a_file_in():
    os.rename(SECRET, "secret.txt")


@attack
def move_a_file_out():
    pathlib.Path("bait").touch()
    os.rename("bait", OTHER / "bait")


@attack
def truncate_by_path():
    os.truncate(SECRET, 0)


@attack
def truncate_by_a_reading_open():
    os.open(SECRET, os.O_RDONLY | os.O_TRUNC)


@attack
def change_the_env_card():
    (WORLD / "envs" / "hopper" / "env.toml").write_text("")


@attack
def change_the_metric():
    METRIC.write_text("")


@attack
def change_the_permissions_of_the_env_card():
    os.chmod(WORLD / "envs" / "hopper" / "env.toml", 0o777)


@attack
def change_permissions_outside():
    os.chmod(SECRET, 0o777)


@attack
def change_permissions_through_a_descriptor():
    os.fchmod(os.open(WORLD / "envs" / "hopper" / "env.toml", os.O_RDONLY), 0o777)


@attack
def change_the_owner():
    os.chown(SECRET, os.getuid(), os.getgid())


@attack
def change_times_outside():
    os.utime(SECRET, (0, 0))


@attack
def set_an_extended_attribute():
    os.setxattr(WORLD / "envs" / "hopper" / "env.toml", "user.x", b"1")


@attack
def change_an_installed_package():
    module = pathlib.Path(sys.modules["reward_agent"].__file__)
    os.open(module, os.O_WRONLY)


@attack
def plant_a_module_beside_the_packages():
    folder = pathlib.Path(sys.modules["pydantic"].__file__).parents[1]
    (folder / "planted.py").touch()


@attack
def write_to_shared_memory():
    pathlib.Path("/dev/shm/planted").touch()


@attack
def write_to_tmp():
    pathlib.Path("/tmp/planted-by-sandbox-test").touch()


@attack
def write_kernel_settings():
    os.open("/proc/self/oom_score_adj", os.O_WRONLY)


@attack
def make_a_set_user_id_file():
    os.close(os.open("suid", os.O_WRONLY | os.O_CREAT, 0o4755))
    assert os.stat("suid").st_mode & 0o4000


@attack
def make_a_pipe_in_the_job_folder():
    os.mkfifo("pipe")


@attack
def make_a_device_in_the_job_folder():
    os.mknod("device", 0o600 | 0o060000, os.makedev(8, 0))


@attack
def make_a_file_without_a_name():
    os.open(".", os.O_TMPFILE | os.O_WRONLY)


# --- network ------------------------------------------------------------------------------------


@attack
def open_a_tcp_socket():
    socket.create_connection(("127.0.0.1", 9), 1)


@attack
def listen_on_a_port():
    socket.create_server(("127.0.0.1", 0))


@attack
def open_a_udp_socket():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 53))


@attack
def open_an_ipv6_socket():
    socket.socket(socket.AF_INET6)


@attack
def open_a_raw_socket():
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW)


@attack
def open_a_netlink_socket():
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)


@attack
def open_a_local_socket():
    socket.socket(socket.AF_UNIX)


@attack
def open_a_socket_pair():
    socket.socketpair()


@attack
def open_a_vsock():
    socket.socket(socket.AF_VSOCK)


@attack
def open_a_kernel_crypto_socket():
    socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)


# --- processes and signals ----------------------------------------------------------------------


@attack
def fork():
    if os.fork() == 0:
        os._exit(0)


@attack
def start_a_program():
    subprocess.run([sys.executable, "-c", ""], check=True)


@attack
def start_a_shell():
    assert os.system("true") == 0


@attack
def spawn():
    os.posix_spawn("/bin/true", ["true"], {})


@attack
def become_another_program():
    assert LIBC.execv(c_path("/nonexistent"), None) == 0 or ctypes.get_errno() != 1


@attack
def vfork_by_number():
    call("syscall", 58 if os.uname().machine == "x86_64" else 10_000)


@attack
def clone_with_new_api():
    arguments = (ctypes.c_uint64 * 11)()
    arguments[4] = signal.SIGCHLD
    if call("syscall", 435, ctypes.byref(arguments), ctypes.sizeof(arguments)) == 0:
        os._exit(0)


@attack
def leave_the_process_group():
    os.setpgid(0, 0)


@attack
def begin_a_session():
    os.setsid()


@attack
def signal_the_parent():
    os.kill(os.getppid(), 0)


@attack
def signal_every_process():
    os.kill(-1, 0)


@attack
def signal_the_own_group():
    os.killpg(0, 0)


@attack
def signal_through_a_pidfd():
    signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 0)


@attack
def queue_a_signal():
    call("sigqueue", os.getppid(), 0, 0)


@attack
def own_signals_of_a_descriptor():
    import fcntl

    fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())


@attack
def lower_the_parents_priority():
    os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)


@attack
def pin_the_parent_to_one_cpu():
    os.sched_setaffinity(os.getppid(), {0})


# --- undoing the walls --------------------------------------------------------------------------


@attack
def raise_a_limit():
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@attack
def limit_the_parent():
    import resource

    resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (1, 1))


@attack
def survive_the_parent():
    call("prctl", 1, 0, 0, 0, 0)


@attack
def add_a_filter():
    call("prctl", 22, 2, 0, 0, 0)


@attack
def become_another_user():
    os.setresuid(1, 1, 1)


@attack
def change_the_root():
    LIBC.chdir(c_path("/"))
    os.chdir("/home")


@attack
def make_an_anonymous_file():
    os.memfd_create("hidden")


@attack
def make_secret_memory():
    call("syscall", 447, 0)


@attack
def make_sysv_shared_memory():
    call("shmget", 0, 4096, 0o1600)


@attack
def make_a_message_queue():
    call("msgget", 0, 0o1600)


@attack
def lock_memory():
    memory = mmap.mmap(-1, 1 << 20)
    call("mlock", ctypes.byref(ctypes.c_char.from_buffer(memory)), 1 << 20)


@attack
def watch_a_folder():
    call("inotify_init1", 0)


@attack
def set_the_clock():
    import time

    time.clock_settime(time.CLOCK_REALTIME, 0.0)


@attack
def set_the_host_name():
    socket.sethostname("mine")


@attack
def read_the_kernel_log():
    call("klogctl", 3, ctypes.create_string_buffer(64), 64)


def try_all():
    verdicts = {}
    for name, function in ATTACKS.items():
        if name not in globals().get("only", ATTACKS):
            continue
        try:
            function()
        except (OSError, AssertionError, ValueError) as error:
            verdicts[name] = repr(error)
        else:
            verdicts[name] = "succeeded"
    return json.dumps(verdicts)


report = try_all()
