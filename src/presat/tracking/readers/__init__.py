"""Readers of run directories, logs and trackers' stores, one file a format; `tracking.open` chooses."""
