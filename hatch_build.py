"""The README as a package index shows it: its links lead to the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

REPOSITORY = "https://github.com/reward-agent/reward-agent"
_LINK = re.compile(r"(!?)(\[[^]]*\]\()(?!https?://)([^)\s]+\))")


class ReadmeHook(MetadataHookInterface):
    """Give the metadata a README without links between files."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Write the README into the metadata."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": point_outside(text)}


def point_outside(text: str) -> str:
    """Return Markdown whose links to files lead to the repository, pictures to their content."""

    def point(found: re.Match[str]) -> str:
        kind = "raw" if found[1] else "blob"
        return f"{found[1]}{found[2]}{REPOSITORY}/{kind}/main/{found[3]}"

    return _LINK.sub(point, text)
