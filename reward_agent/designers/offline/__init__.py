"""The offline designer: no language model, keyword goals and seeded search over reward terms."""

from reward_agent.designers.offline.model import OfflineChatModel, make_model

__all__ = ["OfflineChatModel", "make_model"]
