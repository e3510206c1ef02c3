"""``python -m scripts.docs_site [FOLDER]``: build the site, and fail where a link leads nowhere."""

from __future__ import annotations

import sys
from pathlib import Path

from reward_agent.errors import RewardAgentError
from scripts.docs_site.build import build_site


def main(arguments: list[str]) -> int:
    """Build into a folder, ``build/`` by default; 0 if every link leads somewhere."""
    folder = Path(arguments[0]) if arguments else Path("build")
    try:
        print(build_site(folder) / "index.html")
    except RewardAgentError as error:
        print(f"error: {error.message}\n{error.remedy}".strip(), file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
