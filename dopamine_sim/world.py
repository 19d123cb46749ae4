"""Robot description in, MuJoCo spec out: arm with actuators, table, walls, lights and the two cameras."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np

from dopamine_core.control.kinematics import ARM_JOINTS, FINGER_JOINT, default_urdf_path

FINGER_JOINTS = (FINGER_JOINT, f"{FINGER_JOINT}_mimic")
FINGER_OPEN_M = 0.04  # distance of a pad from the middle when open
ARM_CONTACT = (1, 2)  # (contype, conaffinity): never with itself
WORLD_CONTACT = (2, 3)  # with itself and with the arm
VISUAL_GROUP, COLLISION_GROUP = 1, 3
TABLE_MATERIALS = ("plain", "wood", "checker", "speckle")
WALL_GEOMS = ("wall_back", "wall_side")
DISTRACTORS = tuple(f"distractor_{i}" for i in range(4))
FRONT_POSITION = (0.93, 0.40, 0.40)
FRONT_TARGET = (0.44, -0.01, 0.09)
FRONT_FOVY_DEG = 34.0
WRIST_FOVY_DEG = 50.0
# Stiffness gives about 3 N/mm at the end effector: contact is compliant, free motion is not.
STIFFNESS = dict(zip(ARM_JOINTS, (700.0, 700.0, 600.0, 200.0, 200.0, 120.0), strict=True))
DAMPING = dict(zip(ARM_JOINTS, (45.0, 45.0, 35.0, 7.0, 7.0, 4.0), strict=True))
ARMATURE = dict(zip(ARM_JOINTS, (0.3, 0.3, 0.2, 0.06, 0.06, 0.03), strict=True))
EFFORT = dict(zip(ARM_JOINTS, (80.0, 80.0, 60.0, 25.0, 25.0, 15.0), strict=True))
GRIPPER_STIFFNESS, GRIPPER_DAMPING, GRIPPER_FORCE_N = 1500.0, 40.0, 25.0

_URDF_OPTIONS = (
    '<mujoco><compiler discardvisual="false" fusestatic="false" strippath="false"/></mujoco></robot>'
)


def build_world(urdf_path: Path | None = None) -> mujoco.MjSpec:
    """Return the cell without a task: everything that all tasks share."""
    text = (urdf_path or default_urdf_path()).read_text(encoding="utf-8")
    spec = mujoco.MjSpec.from_string(text.replace("</robot>", _URDF_OPTIONS))
    spec.modelname = "dopamine_cell"
    _set_options(spec)
    _prepare_arm(spec)
    _add_actuators(spec)
    _add_materials(spec)
    _add_room(spec)
    _add_distractors(spec)
    _add_cameras(spec)
    return spec


def look_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Quaternion ``(4,)`` wxyz of a camera (looks along -z, y up) at ``position`` that looks at ``target``."""
    z = np.asarray(position, dtype=np.float64) - target
    z /= np.linalg.norm(z)
    x = np.cross([0.0, 0.0, 1.0], z)
    x /= np.linalg.norm(x)
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, np.stack([x, np.cross(z, x), z], axis=1).ravel())
    return quat


def _set_options(spec: mujoco.MjSpec) -> None:
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 5.0
    spec.option.iterations = 30
    quality = spec.visual.quality
    quality.shadowsize = 0
    quality.offsamples = 0
    quality.numslices = 20
    quality.numstacks = 10
    spec.visual.map.znear = 0.01
    spec.visual.map.zfar = 8.0
    spec.stat.extent = 1.0
    spec.visual.headlight.ambient = [0.42, 0.42, 0.42]
    spec.visual.headlight.diffuse = [0.22, 0.22, 0.22]
    spec.visual.headlight.specular = [0.05, 0.05, 0.05]


def _prepare_arm(spec: mujoco.MjSpec) -> None:
    for body in spec.bodies:
        body.gravcomp = 1.0  # as industrial arms do; what they hold is not compensated
    for geom in spec.geoms:
        if geom.contype:
            geom.group = COLLISION_GROUP
            geom.contype, geom.conaffinity = ARM_CONTACT
        else:
            geom.group = VISUAL_GROUP
    for finger in ("finger_link", "finger_mimic_link"):
        for geom in spec.body(finger).geoms:
            geom.friction = [1.6, 0.02, 0.0005]
            geom.condim = 4
            geom.solref = [0.004, 1.0]
    for name in ARM_JOINTS:
        spec.joint(name).armature = ARMATURE[name]
    for name in FINGER_JOINTS:
        spec.joint(name).armature = 0.05
    for equality in spec.equalities:
        equality.solref = [0.004, 1.0]


def _add_actuators(spec: mujoco.MjSpec) -> None:
    for name in ARM_JOINTS:
        _add_servo(spec, name, STIFFNESS[name], DAMPING[name], EFFORT[name])
    _add_servo(spec, FINGER_JOINT, GRIPPER_STIFFNESS, GRIPPER_DAMPING, GRIPPER_FORCE_N)


def _add_servo(spec: mujoco.MjSpec, joint: str, stiffness: float, damping: float, effort: float) -> None:
    servo = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    servo.gaintype = mujoco.mjtGain.mjGAIN_FIXED
    servo.biastype = mujoco.mjtBias.mjBIAS_AFFINE
    servo.gainprm[0] = stiffness
    servo.biasprm[:3] = [0.0, -stiffness, -damping]
    servo.forcelimited = True
    servo.forcerange = [-effort, effort]


def _add_materials(spec: mujoco.MjSpec) -> None:
    builtin = mujoco.mjtBuiltin
    kinds = {
        "wood": (builtin.mjBUILTIN_GRADIENT, (1, 0.98, 0.94), (0.82, 0.76, 0.70), 0.0),
        "checker": (builtin.mjBUILTIN_CHECKER, (1, 1, 1), (0.88, 0.88, 0.88), 0.0),
        "speckle": (builtin.mjBUILTIN_FLAT, (1, 1, 1), (1, 1, 1), 0.03),
    }
    spec.add_material(name="plain", specular=0.1, shininess=0.1)
    for name in TABLE_MATERIALS[1:]:
        kind, first, second, speckles = kinds[name]
        texture = spec.add_texture(
            name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, builtin=kind, width=256, height=256
        )
        texture.rgb1, texture.rgb2 = first, second
        if speckles:
            texture.mark = mujoco.mjtMark.mjMARK_RANDOM
            texture.markrgb = (0.55, 0.55, 0.55)
            texture.random = speckles
        material = spec.add_material(name=name, texrepeat=[6, 6], specular=0.1, shininess=0.1)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def _add_room(spec: mujoco.MjSpec) -> None:
    box = mujoco.mjtGeom.mjGEOM_BOX
    contact = dict(zip(("contype", "conaffinity"), WORLD_CONTACT, strict=True))
    spec.worldbody.add_geom(
        name="table",
        type=box,
        size=[0.65, 0.8, 0.02],
        pos=[0.3, 0, -0.02],
        material="plain",
        solref=[0.005, 1.0],
        **contact,
    )
    visual = {"contype": 0, "conaffinity": 0, "group": VISUAL_GROUP}
    spec.worldbody.add_geom(name="wall_back", type=box, size=[0.01, 3, 2], pos=[-1.1, 0, 0.3], **visual)
    spec.worldbody.add_geom(name="wall_side", type=box, size=[3, 0.01, 2], pos=[0, -1.5, 0.3], **visual)
    for name in WALL_GEOMS:
        spec.geom(name).rgba = [0.75, 0.78, 0.80, 1]
    for name, position in (("key_light", (0.9, 0.7, 1.4)), ("fill_light", (0.6, -0.9, 1.2))):
        light = spec.worldbody.add_light(name=name, pos=position, castshadow=False)
        light.dir = (np.array([0.4, 0.0, 0.0]) - position) / np.linalg.norm(np.array([0.4, 0, 0]) - position)


def _add_distractors(spec: mujoco.MjSpec) -> None:
    kinds = (mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_SPHERE)
    for index, name in enumerate(DISTRACTORS):
        body = spec.worldbody.add_body(name=name, pos=[0, 0, -1])
        body.add_geom(
            name=name,
            type=kinds[index % len(kinds)],
            size=[0.03, 0.03, 0.03],
            contype=0,
            conaffinity=0,
            group=VISUAL_GROUP,
        )


def _add_cameras(spec: mujoco.MjSpec) -> None:
    front = spec.worldbody.add_camera(name="front", pos=FRONT_POSITION, fovy=FRONT_FOVY_DEG)
    front.quat = look_at(np.array(FRONT_POSITION), np.array(FRONT_TARGET))
    # MuJoCo looks along -z with y up, an optical frame along z with y down: half a turn about x.
    spec.body("wrist_camera_optical").add_camera(name="wrist", quat=[0, 1, 0, 0], fovy=WRIST_FOVY_DEG)
