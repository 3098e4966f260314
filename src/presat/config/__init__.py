"""Configuration: types with docstrings, read from YAML, overridden from the command line."""

from presat.config.load import build, dump_config, load_config, preset_names
from presat.config.schema import *  # noqa: F403  (the schema's models are this package's names)

__all__ = ["build", "dump_config", "load_config", "preset_names"]  # and every model of the schema
