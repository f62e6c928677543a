"""Run the demo dataset through Dagster."""

import argparse

from dataset_assets.errors import ConfigurationError


def add_flags_of_command(parser: argparse.ArgumentParser) -> None:
    """Add nothing: the demo has no options."""
    del parser


def run(arguments: argparse.Namespace) -> int:
    """Run the demo.

    Raises:
        ConfigurationError: its packages are not installed.
    """
    del arguments
    try:
        from dataset_assets.demo.run import run_demo
    except ImportError as exc:
        missing = f"{exc}; install the extra: pip install 'dataset-assets[demo]'"
        raise ConfigurationError(missing) from exc
    return run_demo()
