from pathlib import Path

import reward_agent
from reward_agent.sandbox.landlock import (
    CHANGE,
    READ_DIR,
    READ_FILE,
    RUN,
    WRITE_FILE,
    allow_except,
    find_file_rules,
)

PACKAGE = Path(reward_agent.__file__).resolve().parent


def is_readable(rules, path):
    return any(rule.rights & READ_FILE and path.is_relative_to(rule.path) for rule in rules)


def make_site_packages(folder):
    """Lay out an installed wheel, which carries envs and their metrics inside the package."""
    for name in (
        "numpy/__init__.py",
        "reward_agent/errors.py",
        "reward_agent/_data/envs/hopper/env.toml",
        "reward_agent/_data/envs/hopper/tasks/hop_forward/metric.py",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_hidden_folder_is_left_out_and_all_else_is_not(tmp_path):
    site = make_site_packages(tmp_path)
    data = site / "reward_agent" / "_data"
    rules = allow_except(site, [data], RUN)
    assert is_readable(rules, site / "numpy" / "__init__.py")
    assert is_readable(rules, site / "reward_agent" / "errors.py")
    assert not is_readable(rules, data / "envs" / "hopper" / "env.toml")
    assert [rule.rights for rule in rules if rule.path == site] == [READ_DIR]


def test_env_is_readable_but_for_its_tasks(tmp_path):
    env_dir = make_site_packages(tmp_path) / "reward_agent" / "_data" / "envs" / "hopper"
    rules = find_file_rules(tmp_path / "job", env_dir, has_devices=False)
    assert is_readable(rules, env_dir / "env.toml")
    assert not is_readable(rules, env_dir / "tasks" / "hop_forward" / "metric.py")


def test_only_the_jobs_folder_and_the_sink_may_be_written(tmp_path):
    rules = find_file_rules(tmp_path / "job", None, has_devices=False)
    written = {str(rule.path) for rule in rules if rule.rights & (CHANGE & ~RUN | WRITE_FILE)}
    assert written == {str(tmp_path / "job"), "/dev/null"}


def test_checkout_shows_its_package_only():
    rules = find_file_rules(Path("/nonexistent/job"), None, has_devices=False)
    assert is_readable(rules, PACKAGE / "errors.py")
    for name in ("envs", "runs", "prompts", "README.md"):
        assert not is_readable(rules, PACKAGE.parent / name), name


def test_graphics_devices_are_for_rendering_only(tmp_path):
    def find_devices(has_devices):
        rules = find_file_rules(tmp_path, None, has_devices=has_devices)
        return any(rule.path == Path("/dev/dri") for rule in rules)

    assert find_devices(True)
    assert not find_devices(False)
