"""Who moves the arm in this tick: what each source wants in; one source and the reasons it is not another out."""

from __future__ import annotations

from dataclasses import dataclass

from dopamine_core.types import CommandSource, LimitReason

NS = 1_000_000_000


@dataclass(frozen=True)
class Standing:
    """How the sources stand at one tick."""

    joints_fresh: bool
    images_fresh: bool
    stopped: bool
    human: bool  # a person holds the authority
    reset: bool  # a reset motion is under way
    policy: bool  # there is a policy action to execute
    policy_asks: bool = False  # an action came a moment ago, whoever has the arm
    policy_awaited: bool = False  # the policy was the last to move and is silent now


def choose(standing: Standing) -> tuple[CommandSource, LimitReason]:
    """Pick the source: stop > human > reset > policy > hold; nothing at all without fresh joint states.

    :return: the source, and why a lower one that wanted to move does not.
    """
    if not standing.joints_fresh:
        stopped = LimitReason.STOPPED if standing.stopped else LimitReason.NONE
        return CommandSource.NONE, LimitReason.STALE_JOINT_STATES | stopped
    if standing.stopped:
        return CommandSource.STOP, LimitReason.STOPPED
    if standing.human:
        displaced = standing.reset or standing.policy_asks
        return CommandSource.HUMAN, LimitReason.TAKEN_OVER if displaced else LimitReason.NONE
    if standing.reset:
        return CommandSource.RESET, LimitReason.NONE
    if standing.policy and standing.images_fresh:
        return CommandSource.POLICY, LimitReason.NONE
    return CommandSource.HOLD, _why_hold(standing)


def _why_hold(standing: Standing) -> LimitReason:
    awaited = standing.policy or standing.policy_awaited
    images = LimitReason.STALE_IMAGES if awaited and not standing.images_fresh else LimitReason.NONE
    silent = standing.policy_awaited and not standing.policy
    return images | (LimitReason.STALE_POLICY if silent else LimitReason.NONE)


class DeadMan:
    """Hysteresis around a dead-man switch, so that a fluttering finger does not switch sources back and forth.

    :param engage_ns: how long it must be held before the person gets the authority.
    :param release_ns: how long the person keeps the authority (at rest) after letting go.
    """

    def __init__(self, *, engage_ns: int, release_ns: int) -> None:
        self._engage_ns = engage_ns
        self._release_ns = release_ns
        self._held_since: int | None = None
        self._last_held: int | None = None
        self._must_release = False
        self.engaged = False

    def require_release(self) -> None:
        """Take the authority away until the switch was let go once."""
        self._must_release, self._held_since, self.engaged = True, None, False

    def update(self, held: bool, now_ns: int) -> bool:
        """Take the switch at this moment in and return whether the person may move the arm right now."""
        self._must_release = self._must_release and held
        if self._must_release:
            return False
        if held:
            self._held_since = now_ns if self._held_since is None else self._held_since
            self._last_held = now_ns
            self.engaged = self.engaged or now_ns - self._held_since >= self._engage_ns
        else:
            self._held_since = None
            last = self._last_held
            self.engaged = (
                self.engaged and last is not None and 0 <= now_ns - last < self._release_ns
            )
        return held and self.engaged
