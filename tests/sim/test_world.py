"""The robot description: physically sound, and the same arm to MuJoCo, to Pinocchio and to ros2_control."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import mujoco
import numpy as np
import pytest

from dopamine_core.control.kinematics import ARM_JOINTS, FINGER_JOINT, Kinematics, default_urdf_path
from dopamine_sim.world import EFFORT, build_world

URDF = ElementTree.parse(default_urdf_path()).getroot()
FRAMES = ("base_link", "tool0", "tcp", "wrist_camera_link", "wrist_camera_optical", "gripper_link")


def test_frames_joints_and_limits_are_there() -> None:
    links = {link.get("name") for link in URDF.findall("link")}
    joints = {joint.get("name"): joint for joint in URDF.findall("joint")}
    assert set(FRAMES) <= links and {*ARM_JOINTS, FINGER_JOINT} <= set(joints)
    for name in (*ARM_JOINTS, FINGER_JOINT):
        limit = joints[name].find("limit")
        assert float(limit.get("lower")) < float(limit.get("upper"))
        assert float(limit.get("velocity")) > 0 and float(limit.get("effort")) > 0
    assert joints["finger_joint_mimic"].find("mimic").get("joint") == FINGER_JOINT
    controlled = {joint.get("name") for joint in URDF.find("ros2_control").findall("joint")}
    assert controlled == {*ARM_JOINTS, FINGER_JOINT}


def test_only_primitives_are_used() -> None:
    kinds = {shape.tag for geometry in URDF.iter("geometry") for shape in geometry}
    assert kinds <= {"box", "cylinder", "sphere"}


@pytest.mark.parametrize("link", [link for link in URDF.findall("link") if link.find("inertial") is not None])
def test_inertias_are_those_of_a_solid_of_plausible_density(link: ElementTree.Element) -> None:
    inertial = link.find("inertial")
    mass = float(inertial.find("mass").get("value"))
    moments = np.array([float(inertial.find("inertia").get(axis)) for axis in ("ixx", "iyy", "izz")])
    assert mass > 0 and np.all(moments > 0)
    assert np.all(moments.sum() - 2 * moments > -1e-12)  # triangle inequality
    volume = sum(_volume(shape) for shape in link.iterfind("collision/geometry/*"))
    assert 100.0 < mass / volume < 6000.0  # kg/m^3: between foam and steel


def _volume(shape: ElementTree.Element) -> float:
    if shape.tag == "box":
        return float(np.prod([float(side) for side in shape.get("size").split()]))
    return np.pi * float(shape.get("radius")) ** 2 * float(shape.get("length"))


def test_mujoco_and_pinocchio_agree_on_where_the_tcp_is() -> None:
    model = build_world().compile()
    data, kinematics = mujoco.MjData(model), Kinematics()
    rng = np.random.default_rng(0)
    for _ in range(5):
        q = rng.uniform(kinematics.lower_rad, kinematics.upper_rad)
        for name, value in zip(ARM_JOINTS, q, strict=True):
            data.joint(name).qpos[0] = value
        mujoco.mj_kinematics(model, data)
        pose = kinematics.forward(q)
        assert data.body("tcp").xpos == pytest.approx(pose.position, abs=1e-6)
        assert data.body("tcp").xmat == pytest.approx(pose.rotation.ravel(), abs=1e-6)


def test_servos_are_as_strong_as_the_description_says() -> None:
    assert [EFFORT[name] for name in ARM_JOINTS] == Kinematics().max_effort_nm.tolist()


def test_the_wrist_camera_sees_along_its_optical_axis_what_the_gripper_holds() -> None:
    """REP-103 optical frame: z forward, x right, y down; the point below the fingertips is near the centre."""
    model = build_world().compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    optical = data.body("wrist_camera_optical")
    rotation = optical.xmat.reshape(3, 3)
    tip = data.body("tcp").xpos + 0.045 * data.body("tcp").xmat.reshape(3, 3)[:, 2]
    seen = rotation.T @ (tip - optical.xpos)
    assert seen[2] > 0.1 and np.linalg.norm(seen[:2]) / seen[2] < 0.2
    camera = data.camera("wrist").xmat.reshape(3, 3)
    assert camera[:, 2] == pytest.approx(-rotation[:, 2], abs=1e-9)  # MuJoCo looks along -z
    assert camera[:, 0] == pytest.approx(rotation[:, 0], abs=1e-9)
