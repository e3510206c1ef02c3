"""The notebooks of the docs: ``python tests/support/notebooks.py`` runs them and keeps what they say.

They run in a folder of their own, as a person would in an empty one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
_TIMEOUT_S = 900


def execute(path: Path, folder: Path) -> Any:
    """Return a notebook as it is after all of its cells ran in a folder.

    Raises:
        CellExecutionError: one of them failed.
    """
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(path, as_version=4)
    NotebookClient(
        book, timeout=_TIMEOUT_S, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    return book


def refresh(path: Path) -> None:
    """Run a notebook and keep its outputs, without what is of this machine or this hour."""
    import nbformat

    with tempfile.TemporaryDirectory() as folder:
        book = execute(path, Path(folder))
    for cell in book.cells:
        cell.metadata = {}
    book.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(book, path)


if __name__ == "__main__":
    for one in sorted(FOLDER.glob("*.ipynb")):
        refresh(one)
        print(one)
