"""The pages of ``docs/`` as a site: ``scripts/docs``."""
