"""Three hops in, one reward out, by hand and by the library: both columns must agree (docs/reward.md)."""

import math

from dopamine_core.reward.fusion import FusionConfig, fuse
from dopamine_core.reward.shaping import EpisodeEnd, ShapingConfig, transition_terms

PREVIOUS = 0.40  # Phi*(t-1)
HOPS = (0.30, 0.50, -0.40)  # incremental, forward-anchored, backward-anchored
GAMMA = 0.98


def by_hand() -> dict[str, float]:
    """The equations with their numbers."""
    incremental = PREVIOUS + (1 - PREVIOUS) * HOPS[0]  # Eq. 4, 5
    forward, backward = HOPS[1], 1 + HOPS[2]  # Eq. 6, 7
    mean = (incremental + forward + backward) / 3  # Eq. 8
    anchored = (forward + backward) / 2
    weight = math.exp(-20 * ((backward - forward) / (anchored + 1e-6)) ** 2)  # Eq. 9, 10
    checked = PREVIOUS + weight / 2 * (anchored - PREVIOUS + incremental - PREVIOUS)  # Eq. 11
    return {
        "fused, Eq. 8": mean,
        "consistency weight, Eq. 10": weight,
        "fused, Eq. 11": checked,
        "reward on the way, Eq. 13": GAMMA * mean - PREVIOUS,
        "reward at success, exact": 1.0 - PREVIOUS,
        "reward at success, paper": 1.0 + GAMMA * mean - PREVIOUS,
    }


def by_library() -> dict[str, float]:
    """The same from the functions that the nodes use."""
    mean = fuse(HOPS, PREVIOUS, PREVIOUS, FusionConfig(mode="mean")).progress
    checked = fuse(HOPS, PREVIOUS, PREVIOUS, FusionConfig(mode="consistency"))
    success = EpisodeEnd(success=True, terminated=True)
    exact, paper = ShapingConfig(GAMMA, "exact"), ShapingConfig(GAMMA, "paper")
    return {
        "fused, Eq. 8": mean,
        "consistency weight, Eq. 10": checked.consistency,
        "fused, Eq. 11": checked.progress,
        "reward on the way, Eq. 13": transition_terms(PREVIOUS, mean, exact).total,
        "reward at success, exact": transition_terms(PREVIOUS, mean, exact, success).total,
        "reward at success, paper": transition_terms(PREVIOUS, mean, paper, success).total,
    }


def main() -> None:
    """Print both columns."""
    library = by_library()
    for name, value in by_hand().items():
        print(f"{name:<28} by hand {value:+.4f}   library {library[name]:+.4f}")
        if not math.isclose(value, library[name], abs_tol=1e-6):
            raise SystemExit(f"{name}: the two differ")


if __name__ == "__main__":
    main()
