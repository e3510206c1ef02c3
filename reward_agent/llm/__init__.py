"""Language models behind one seam: ``ChatModel.complete``."""
