"""The agent: understands a command, calls tools, reports typed events."""
