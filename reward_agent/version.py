"""The version of this program: that of the tag that it was built from."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("reward-agent")
except PackageNotFoundError:  # a folder that was never installed
    __version__ = "0+unknown"
