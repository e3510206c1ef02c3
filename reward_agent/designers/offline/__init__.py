"""The offline designer: no language model, keyword goals and seeded search over reward terms."""

from reward_agent.designers.offline.designer import OfflineDesigner, make_designer

__all__ = ["OfflineDesigner", "make_designer"]
