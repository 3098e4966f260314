"""All benchmarks, one after the other: `make bench`, on an idle machine; only ratios and counts mean anything.

`python benchmarks/step.py smollm2` is left out for its length: half an hour.
"""

from __future__ import annotations

import step
import verification

import answers
import rollouts

if __name__ == "__main__":
    rollouts.main()
    verification.main()
    answers.main()
    step.compare_steps(step.WORKS["lab"], threads=1)
