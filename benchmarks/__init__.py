"""Measurements: each script prints a table and the machine it ran on."""
