"""`presat demo`: the paper's argument on models small enough to make on the spot."""

from __future__ import annotations

from presat.demo.run import run_demo

__all__ = ["run_demo"]
