"""What is written about the files is so."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from support.loops import LONG, QUICK
from support.notebooks import execute
from typer.testing import CliRunner

from benchmarks.house import LAYERS
from hatch_build import REPOSITORY, point_outside
from reward_agent.cli.app import app
from reward_agent.errors import RewardAgentError
from reward_agent.text import read_docstring

ROOT = Path(__file__).resolve().parents[1]


def list_paths(text: str) -> list[str]:
    """Return what stands in backticks and looks like a path of one file or folder."""
    words = re.findall(r"`([^`\s]+)`", text)
    return [word for word in words if re.fullmatch(r"[\w.][\w./-]*(/|\.(py|md|toml|txt|j2))", word)]


def test_every_path_in_contributing_exists() -> None:
    paths = list_paths((ROOT / "CONTRIBUTING.md").read_text())
    assert len(paths) > 25
    places = (
        ROOT,
        ROOT / "reward_agent",
        ROOT / "tests" / "rewards",
        ROOT / "envs/hopper/tasks/hop_forward",
    )
    missing = [path for path in paths if not any((place / path).exists() for place in places)]
    assert missing == []


def test_the_security_page_is_one_page_and_names_what_there_is() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    assert len(text.split()) < 1000
    links = re.findall(r"\]\(([\w/.]+)(?:#[\w-]+)?\)", text)
    assert [name for name in links if not (ROOT / name).exists()] == []
    command = CliRunner().invoke(app, ["design", "--help"], env={"COLUMNS": "200"}).output
    for option in re.findall(r"`(--[a-z]+)", text):
        assert option in command + "--edit --web --http", option
    for readers in (README, (ROOT / "envs" / "README.md").read_text()):
        assert "SECURITY.md" in readers


def test_what_the_source_archive_holds_is_there_and_every_page_of_the_root_in_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert [name for name in included if not (ROOT / name.strip("/")).exists()] == []
    assert {f"/{page.name}" for page in ROOT.glob("*.md")} <= set(included)


README = (ROOT / "README.md").read_text()
CODE = (ROOT / "docs" / "concepts" / "code.md").read_text()


def list_map() -> list[str]:
    """Return the paths of the map of the code; what is indented lies in the package."""
    block = CODE.split("\n## The files\n")[1].split("```")[1]
    paths = []
    for line in block.strip("\n").splitlines():
        head = re.split(r"\s{2,}", line.strip())[0]
        folder = "reward_agent/" if line.startswith("  ") else ""
        paths += [folder + name for name in head.split()]
    return paths


def test_every_path_of_the_map_exists_and_every_folder_of_the_package_is_in_it() -> None:
    paths = list_map()
    assert [path for path in paths if not (ROOT / path).exists()] == []
    packages = {
        f"{path.parent.relative_to(ROOT)}/" for path in ROOT.glob("reward_agent/**/__init__.py")
    }
    assert packages - set(paths) == set()


def test_the_maps_order_is_that_of_the_layers() -> None:
    folders = [path.split("/")[1] for path in list_map() if path.startswith("reward_agent/")]
    assert [name for name in dict.fromkeys(folders) if name in LAYERS] == list(LAYERS)


def test_the_reading_order_is_short_enough_to_be_read() -> None:
    part = CODE.split("\n## Reading order")[1].split("\nThen ")[0]
    files = [ROOT / "docs/concepts" / name for name in re.findall(r"\]\(([\w/.]+)\)", part)]
    assert 5 < len(files) <= 10
    assert sum(len(path.read_text().splitlines()) for path in files) <= 2000


def test_the_readme_of_a_package_index_has_no_links_between_files() -> None:
    links = re.findall(r"\]\(([^)]+)\)", point_outside(README))
    assert len(links) > 15
    assert [link for link in links if not link.startswith("https://")] == []
    assert f"{REPOSITORY}/raw/main/docs/back_flip.webp" in links
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Source"] == REPOSITORY


def test_the_readme_is_short_and_begins_with_a_film() -> None:
    assert len(README.split()) <= 900
    [film] = re.findall(r"!\[[^]]+\]\((docs/\S+\.webp)\)", README.split("```")[0])
    assert (ROOT / film).stat().st_size <= 2e6


@pytest.mark.parametrize("place", [*LONG, *QUICK])
def test_what_the_fast_loop_leaves_out_exists(place: str) -> None:
    assert (ROOT / "tests" / place).exists()


def test_hooks_and_scripts_use_tools_of_dev() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    dev = {re.match(r"[\w-]+", name).group() for name in extras["dev"]}
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert {entry.split()[0] for entry in re.findall(r"entry: (.+)", hooks)} <= dev


def list_errors(kind: type[RewardAgentError] = RewardAgentError) -> list[type[RewardAgentError]]:
    return [kind, *(one for child in kind.__subclasses__() for one in list_errors(child))]


def test_every_error_has_a_code_of_its_own_and_stands_in_the_table() -> None:
    rows = [
        f"| `{kind.code}` | {kind.exit_code} | {read_docstring(kind).partition(chr(10))[0]} |"
        for kind in sorted(list_errors(), key=lambda kind: kind.code)
    ]
    assert len({kind.code for kind in list_errors()}) == len(rows)
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows


NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_of_the_docs_shows_what_it_said_and_nothing_of_this_machine(path: Path) -> None:
    text = path.read_text()
    assert len(text) < 1.5 * 2**20
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert any("<svg" in json.dumps(output) for output in outputs)
    words = re.sub(r"base64,[A-Za-z0-9+/=]+|\"[A-Za-z0-9+/=\\n]{500,}\"", "", json.dumps(outputs))
    assert re.findall(r"/(?:work|tmp|home|root|Users)/[\w./-]+", words) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_of_the_docs_runs(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    execute(path, tmp_path)
