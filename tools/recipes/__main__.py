"""Runs a recipe as the worker of a job: `python -m tools.recipes NAME --config FILE`."""

import sys

from tools.core.jobs.worker import run_recipe

if __name__ == "__main__":
    sys.exit(run_recipe())
