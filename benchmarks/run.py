"""All benchmarks, one after the other: `make bench`, on an idle machine; only ratios and counts mean anything."""

from __future__ import annotations

import verification

import answers
import rollouts

if __name__ == "__main__":
    rollouts.main()
    verification.main()
    answers.main()
