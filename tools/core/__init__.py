"""Shared ground under the tools: errors, settings, workspace, library, store, encoders."""
