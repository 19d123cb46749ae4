"""The cell's own traffic between messages and plain values: trajectories in, joint states out."""

from __future__ import annotations

from sensor_msgs.msg import JointState as JointStateMsg
from trajectory_msgs.msg import JointTrajectory

from dopamine_ros.convert.stamps import from_ns, to_ns
from dopamine_sim.cell import JointState
from dopamine_sim.joint_trajectory_controller import Point

__all__ = ["from_ns", "joint_state_to_msg", "points_from_msg"]


def points_from_msg(message: JointTrajectory) -> tuple[int, list[Point]]:
    """Return start stamp and points of a trajectory, unchecked: the controller judges them."""
    points = [
        Point(to_ns(p.time_from_start), p.positions, p.velocities, p.accelerations, p.effort)
        for p in message.points
    ]
    return to_ns(message.header.stamp), points


def joint_state_to_msg(state: JointState) -> JointStateMsg:
    """Return the joint state message, with velocity and effort."""
    message = JointStateMsg(name=list(state.names))
    message.header.stamp = from_ns(state.stamp_ns)
    message.position = state.position.tolist()
    message.velocity = state.velocity.tolist()
    message.effort = state.effort.tolist()
    return message
