"""What an operator can ask for, whatever the button, key, service or action that asks."""

from __future__ import annotations

import threading

from dopamine_core.control.teleop import Button
from dopamine_core.errors import DopamineError, EpisodeError
from dopamine_core.types import EpisodeInfo, EpisodeKind, Outcome, OutcomeSource
from dopamine_demo_node.authority import Authority
from dopamine_demo_node.recording import Recording

# Who says an outcome that a client of episode/close names.
_SOURCES = {
    Outcome.TIME_LIMIT: OutcomeSource.TIMER,
    Outcome.SAFETY_ABORT: OutcomeSource.SAFETY,
    Outcome.CAMERA_LOSS: OutcomeSource.SAFETY,
}


class Desk:
    """Opens, closes and marks episodes; every method returns a sentence or raises a named error.

    :param task: task of a demonstration that a button starts.
    """

    def __init__(self, authority: Authority, recording: Recording, task: str) -> None:
        self._authority = authority
        self._recording = recording
        self._task = task
        self.scene_confirmed = threading.Event()
        self.asking_for_scene = False

    def open(
        self, kind: EpisodeKind, task: str, time_limit_s: float = 0.0, *, record: bool = True
    ) -> EpisodeInfo:
        """Open an episode, recorded or not.

        :raises EpisodeError: when it is refused.
        :raises RecordingError: when it cannot be recorded; then it is not opened.
        """
        begin = self._recording.begin if record else None
        return self._authority.open(kind, task, time_limit_s=time_limit_s, begin=begin)

    def start(self) -> str:
        """Start a demonstration of the configured task."""
        return self.open(EpisodeKind.DEMONSTRATION, self._task).episode_id

    def keep(self) -> str:
        """Keep the open demonstration."""
        info = self._authority.keep()
        return f"{info.episode_id} kept"

    def discard(self) -> str:
        """Discard the open demonstration."""
        info = self._authority.discard()
        return f"{info.episode_id} discarded"

    def mark_keyframe(self) -> str:
        """Mark a keyframe, or take back a mark just made."""
        info = self._authority.info
        if not self._authority.is_open or info.kind is not EpisodeKind.DEMONSTRATION:
            raise EpisodeError(
                expected="an open demonstration to mark",
                got=f"{info.kind.name} {info.state.name}",
                remedy="start recording first",
            )
        return f"{self._recording.mark_keyframe(info.episode_id)} keyframes marked"

    def close(self, outcome: Outcome, episode_id: str = "", text: str = "") -> str:
        """Close the open episode with an outcome."""
        source = _SOURCES.get(outcome, OutcomeSource.OPERATOR)
        info = self._authority.close(outcome, source, episode_id=episode_id, text=text)
        return f"{info.episode_id} closed: {outcome.name}"

    def label(self, outcome: Outcome, episode_id: str = "") -> str:
        """Correct the outcome of the last episode."""
        info = self._authority.label(outcome, episode_id)
        return f"{info.episode_id} is now {outcome.name}"

    def confirm_scene(self) -> str:
        """Say that the scene is restored."""
        if not self.asking_for_scene:
            raise EpisodeError(
                expected="a reset that waits for the scene", got="none", remedy="ask for a reset"
            )
        self.scene_confirmed.set()
        return "scene restored"

    def on_buttons(self, pressed: frozenset[Button]) -> list[str]:
        """Do what pressed buttons ask; a refusal is a sentence like any other answer."""
        answers = []
        for button in pressed:
            action = self._action(button)
            if action is not None:
                try:
                    answers.append(action())
                except DopamineError as error:
                    answers.append(f"button {button.value}: {error}")
        return answers

    def _action(self, button: Button):  # type: ignore[no-untyped-def]
        """What a button means at this moment; None when the command path owns it."""
        if self.asking_for_scene and button is Button.KEEP:
            return self.confirm_scene
        practising = (
            self._authority.is_open and self._authority.info.kind is not EpisodeKind.DEMONSTRATION
        )
        if practising and button is Button.KEEP:
            return lambda: self.close(Outcome.SUCCESS, text="seen by the operator")
        if practising and button is Button.DISCARD:
            return lambda: self.close(Outcome.FAILURE, text="seen by the operator")
        return {
            Button.RECORD: self.start,
            Button.KEEP: self.keep,
            Button.DISCARD: self.discard,
            Button.KEYFRAME: self.mark_keyframe,
        }.get(button)
