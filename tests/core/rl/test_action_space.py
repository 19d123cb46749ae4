"""Units scale there and back; what lies outside is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopamine_core.errors import ConfigError, LearnerError
from dopamine_core.rl.action_space import ActionSpace, ActionSpaceConfig

UNIT = st.floats(-1.0, 1.0, width=32)


@given(values=st.tuples(UNIT, UNIT, UNIT, UNIT))
def test_to_action_then_to_unit_is_the_identity(values: tuple[float, ...]) -> None:
    space = ActionSpace(ActionSpaceConfig(("x", "z", "rz", "gripper"), 0.01, 0.2))
    displacement, gripper = space.to_action(np.array(values, np.float32), 0.3)
    executed = np.concatenate([displacement, [gripper]])[None]
    assert space.to_unit(executed)[0] == pytest.approx(values, abs=1e-6)
    assert displacement[[1, 3, 4]].tolist() == [0.0, 0.0, 0.0]


def test_gripper_stays_when_it_is_no_axis() -> None:
    space = ActionSpace(ActionSpaceConfig(("x",)))
    assert space.to_action(np.array([0.5], np.float32), 0.8) == (
        pytest.approx([0.005, 0, 0, 0, 0, 0]),
        0.8,
    )


@pytest.mark.parametrize(
    ("value", "outside"), [(0.01, False), (0.0100001, False), (0.011, True), (np.nan, True)]
)
def test_out_of_range_is_reported(value: float, outside: bool) -> None:
    space = ActionSpace(ActionSpaceConfig(("x",), 0.01))
    executed = np.zeros((1, 7))
    executed[0, 0] = value
    assert space.out_of_range(space.to_unit(executed)).tolist() == [outside]


def test_actions_outside_are_clipped() -> None:
    space = ActionSpace(ActionSpaceConfig(("y",), 0.01))
    assert space.to_action(np.array([7.0], np.float32), 0.0)[0][1] == pytest.approx(0.01)


@pytest.mark.parametrize("axes", [(), ("x", "x"), ("w",)])
def test_wrong_axes_are_refused(axes: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="axes"):
        ActionSpaceConfig(axes)


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(LearnerError, match="executed actions"):
        ActionSpace(ActionSpaceConfig()).to_unit(np.zeros((2, 6)))
