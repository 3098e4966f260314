"""Readers of run directories and logs (ours, TRL's, verl's, tables), one file a format; `tracking.open` chooses."""
