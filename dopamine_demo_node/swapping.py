"""An adapted model's folder comes in; between episodes the reward node loads it."""

from __future__ import annotations

from dopamine_msgs.msg import RewardModel
from dopamine_msgs.srv import LoadModel

from dopamine_core.errors import ModelError
from dopamine_demo_node.asking import Asking
from dopamine_demo_node.authority import Authority
from dopamine_demo_node.references import ReferenceKeeper
from dopamine_demo_node.settings import AdaptSettings
from dopamine_ros import names


class Swapper:
    """Swaps the reward model while no episode is open."""

    def __init__(
        self,
        settings: AdaptSettings,
        authority: Authority,
        asking: Asking,
        references: ReferenceKeeper,
    ) -> None:
        self._settings = settings
        self._authority = authority
        self._asking = asking
        self._references = references

    def load(self, model_path: str) -> RewardModel:
        """Load a model in the reward node and tell it the task again.

        :raises EpisodeError: when the open episode does not end in time.
        :raises GraphError: when the reward node does not answer.
        :raises ModelError: when it refuses the model.
        """
        request = LoadModel.Request(name=self._settings.model_name, path=model_path)
        with self._authority.between_episodes("the reward model", self._settings.swap_wait_s):
            answer = self._asking.call(names.LOAD_MODEL, request, self._settings.load_wait_s)
            if not answer.success:
                raise ModelError(
                    expected=f"the reward node to load {model_path}",
                    got=answer.message,
                    remedy="the former model stays in use",
                )
            self._references.tell()
        return answer.model
