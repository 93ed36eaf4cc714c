"""Training recipes, each runnable on its own: `python -m tools.recipes.NAME`."""
