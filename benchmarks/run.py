"""All benchmarks, one after the other: `make bench`. Run it on an idle machine; only the ratios mean anything."""

from __future__ import annotations

import verification

import rollouts

if __name__ == "__main__":
    rollouts.main()
    verification.main()
