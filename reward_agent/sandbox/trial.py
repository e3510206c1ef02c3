"""``python -m reward_agent.sandbox.trial FOLDER``: seal this process and say what came of it.

Prints a ``SealReport``; ``reward-agent doctor`` asks in this way what the machine can do.
"""

import sys
from pathlib import Path

from reward_agent.errors import SandboxError
from reward_agent.sandbox.isolation import Isolation
from reward_agent.sandbox.seal import Seal


def try_seal(folder: Path) -> None:
    """Seal this process with the least demand; the report goes to standard output."""
    seal = Seal(Isolation(mode="any", report_descriptor=1), folder)
    try:
        seal.confine()
        seal.close()
    except SandboxError as error:
        print(error, file=sys.stderr)


if __name__ == "__main__":
    try_seal(Path(sys.argv[1]))
