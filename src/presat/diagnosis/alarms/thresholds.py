"""Every threshold of every alarm, in one place, each with its reason.

They were settled on the even seeds of `benchmarks/alarms.py` and are reported on the odd ones (docs/alarms.md).
"""

from __future__ import annotations

LEAST_STEPS = 20
"""Logged steps before a curve is judged: a share of a step of 64 responses scatters by .06, the mean of five by .03."""
WINDOW_SHARE, LEAST_WINDOW, MOST_WINDOW = 0.1, 5, 25
"""What is compared is the mean of a tenth of the run: long enough not to follow single steps, short enough to date."""
MARGIN = 0.05
"""Smallest change of a rate that is worth saying."""
ERRORS = 3.0
"""Standard errors a change must exceed: some twenty checks look at a run, and two errors would cry in one of two."""

DEAD, DEAD_CRITICAL = 0.6, 0.9
"""Share of groups without a gradient: healthy lab runs stay below .5 (DAPO reports up to .4 on mathematics), and from
.6 on more is sampled in vain than not. At .9 a step of 64 prompts learns from six."""
PART_OF_DEAD = 0.6
"""Share of the dead groups that are of one kind, from which on they are called by it."""
IDENTICAL = 0.9
"""Share of responses with the same text as another of their group: below, sampling still explores."""
LEAST_GROUPS = 8
"""Groups that single steps must have for their kinds to be told."""
VANISHED = 0.1
"""Share of its first value to which the spread of rewards or advantages has sunk: at a solve rate of .99 it is .2."""

TRUNCATED, TRUNCATED_CRITICAL = 0.25, 0.5
"""Share of responses cut at the limit. Models before RL reach .1 to .2; at .25 the limit shapes the reward."""

TRUNCATION_RISE = 0.1
"""Rise of it that is said before it gets there: what grows so far goes on growing."""

ENTROPY_LEFT = 0.15
"""Share of its first entropy (of five steps) that a policy keeps: lab runs that learn their task keep .25 or more."""
ENTROPY_HALVED = 0.6
"""Share below which the way down is extended to say when it arrives; above, a curve may still level off."""
NEAR_TOP = 0.9
"""Mean reward from which on low entropy, or a flat reward, is what having learned looks like."""

KL_RUNAWAY = 1.0
"""KL to the reference, nats a token: healthy lab runs stay below .3, runs of 1.5B models below .1; at 1 the policy is
another model."""
KL_GROWTH = 8.0
"""Growth of the KL over the second half of the run; a policy that drifts evenly doubles it."""
KL_LEAST = 0.2
"""KL below which no growth counts: it starts from 0."""
KL_NONE = 1e-6
"""KL below which the weights have not moved: one AdamW step of 1e-6 on a 1.5B model leaves more within 20 steps."""
RATE_NONE = 1e-10
"""Learning rate at which float32 weights do not change."""
BETA_HIGH = 0.5
"""KL weight, given or read off loss / KL: at .5 a KL of .02 costs as much as a hundredth of the reward. Papers use 0
to .05."""
PENALTY = 1.5
"""Spread of loss / KL (upper over lower quartile) up to which the loss is the penalty, if the KL spreads more."""
FIRST_TOKENS = 0.5
"""Share of the KL in the first of several stretches of the response: even is one in as many as there are."""

SPIKE = 10.0
"""Times the median gradient norm around it that a spike is."""
SPIKES = 2
"""Spikes to speak of: one may be a single odd batch."""
SPIKE_CRITICAL = 0.05
"""Share of steps that spike from which on the run is unstable."""
ZERO_GRADIENTS = 0.2
"""Share of steps whose gradient is exactly 0, above the steps in which all groups are dead."""

CLIPPED = 0.18
"""Share of tokens outside the clip range: 0 on-policy, up to about .12 in healthy off-policy runs."""

LONGER = 1.5
"""Times its first mean length: reasoning that helps grows too, so truth decides, and where it is not logged:"""
LONGER_ALONE = 1.8
"""... growth that counts where nothing says whether accuracy came with it, if the reward follows the length."""
FOLLOWS = 0.8
"""Rank correlation of reward and length over steps from which on one follows the other."""
PAID = 0.5
"""Correlation of reward and length among the responses of a group."""
PAID_GROWTH = 1.1
"""Growth that counts where the responses themselves show what is paid."""

REPEATS = 0.2
"""Share of repeated word sequences: prose and worked solutions have a few hundredths, loops go to 1."""
REPEATED_WORDS = 6
"""Length of such a sequence; shorter ones recur in equations."""

DROWNED = 3.0
"""Times what the accuracy part pays that all other parts of a summed reward pay together."""
FARMED = 0.1
"""Rise of a format part."""
FARM_SHARE, FARM_STEPS = 0.25, 100
"""Share and number of the steps over which accuracy must have stood still since the format began to rise: formats are
learned first in healthy runs too."""

LABELS_WRONG = 0.5
"""Accuracy of the labels below which they teach more wrong than right (paper: models break at gamma .5 to .7)."""
LABELS_FALL = 0.15
"""Fall of it that is worth saying."""

PLATEAU_SHARE, PLATEAU_STEPS = 0.4, 25
"""Share and number of the last steps in which the reward stood still: a healthy logistic curve is flat for less."""
FLAT = 0.03
"""Change of the reward over them that counts as none."""
RISEN = 0.2
"""Rise before it: what never rose is no plateau."""
NEVER_STEPS = 40
"""Steps without any rise before the reward counts as one that does not rise."""
ABOVE_TRUTH = 0.5
"""Reward above the accuracy of the same responses: votes and partial credit pay up to .3 more than the truth would."""
MOST_SUMMED = 1.5
"""Highest reward that is still compared with a score: accuracy and a bonus for the format."""
HELD_OUT_FALL = 0.08
"""Fall of a held-out score from its best: 48 problems of 4 samples scatter by .03."""

SLOWER = 1.6
"""Times its first time a step takes, with the time rising throughout: caches and other jobs make less."""
CRITIC_FALL = 0.3
"""Fall of a critic's explained variance to below 0."""

CONSTANT_SHARE = 0.9
"""Share of a step's responses with one answer from which on the policy has collapsed to a constant."""
UNREAD = 0.5
"""Share of responses of which no answer is read although most were finished."""
EARNED, EARNED_STEPS = 0.02, 3
"""Mean reward up to which next to nothing was earned, and the saved steps that are looked at for it."""
FIRST_STEP = 3.0
"""A reward has risen from its first step alone when by this many times what its steps scatter."""
