"""Time, senses and the command path come in; what ends an episode, or counts in it, goes out."""

from __future__ import annotations

from collections.abc import Callable

from dopamine_core.errors import EpisodeError
from dopamine_core.types import CommandRecord, CommandSource, Outcome, OutcomeSource
from dopamine_demo_node.authority import Authority
from dopamine_demo_node.recording import Recording
from dopamine_demo_node.senses import Heard, Senses
from dopamine_demo_node.settings import DemoNodeConfig


class Watch:
    """Closes the open episode on time limit, camera loss, joint loss, stop and recording failure.

    :param say: called with a sentence when it closed one.
    """

    def __init__(
        self,
        *,
        authority: Authority,
        senses: Senses,
        recording: Recording,
        config: DemoNodeConfig,
        say: Callable[[str], None],
    ) -> None:
        self._authority = authority
        self._senses = senses
        self._recording = recording
        self._config = config
        self._say = say
        self._opened: tuple[str, Heard] = ("", senses.now())

    def look(self) -> None:
        """Look once; called by a timer."""
        info = self._authority.info
        if not self._authority.is_open:
            return
        if self._opened[0] != info.episode_id:
            self._opened = info.episode_id, self._senses.now()
        reason = self._reason(info.episode_id)
        if reason is not None:
            self._close(*reason, info.episode_id)

    def on_command(self, before: CommandRecord | None, record: CommandRecord) -> None:
        """Look at a command tick: a stop ends the episode, a takeover counts."""
        if not self._authority.is_open:
            return
        if record.stopped:
            text = record.text or "the command path is stopped"
            self._close(Outcome.STOP, OutcomeSource.OPERATOR, text, self._authority.info.episode_id)
        human = record.source is CommandSource.HUMAN
        if human and (before is None or before.source is not CommandSource.HUMAN):
            self._authority.takeover()

    def _reason(self, episode_id: str) -> tuple[Outcome, OutcomeSource, str] | None:
        """Why the episode must end now; None when it may go on."""
        error = self._recording.error(episode_id)
        if error is not None:
            return Outcome.SAFETY_ABORT, OutcomeSource.SAFETY, f"recording failed: {error}"
        if self._authority.overdue():
            return Outcome.TIME_LIMIT, OutcomeSource.TIMER, "time limit"
        since = self._opened[1]
        for name, limit_s, outcome in (
            ("cameras", self._config.camera_loss_s, Outcome.CAMERA_LOSS),
            ("joint states", self._config.joint_loss_s, Outcome.SAFETY_ABORT),
        ):
            age_s = self._senses.age_s(name, since)
            if age_s > limit_s:
                text = f"{name}: the newest is {age_s:.1f} s old (allowed {limit_s:g} s)"
                return outcome, OutcomeSource.SAFETY, text
        return None

    def _close(self, outcome: Outcome, source: OutcomeSource, text: str, episode_id: str) -> None:
        try:
            self._authority.close(outcome, source, episode_id=episode_id, text=text)
        except EpisodeError:
            return  # it was closed in the meantime
        self._say(f"{episode_id} closed: {outcome.name}, {text}")
