"""Datasets of pictures with their titles: reading, splitting, negatives, matching."""
