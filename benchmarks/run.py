"""All benchmarks, one after the other, then one table: `make bench`, on an idle machine; only ratios mean much.

Left out for their length: `step.py smollm2` and `rollouts.py avg16`, half an hour each, and `reading.py`.
"""

from __future__ import annotations

import step
import verification
from timing import table

import answers
import rollouts

if __name__ == "__main__":
    rollouts.main()
    verification.main()
    answers.main()
    step.compare_steps(step.WORKS["lab"], threads=1)
    print(f"\n{table()}")
