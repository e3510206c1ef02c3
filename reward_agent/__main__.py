"""``python -m reward_agent`` is the command ``reward-agent``."""

from reward_agent.cli import main

if __name__ == "__main__":
    main()
