"""Names that only the cell and its scripted operator share."""

SCENE_STATE = "scene/state"  # std_msgs/Float64MultiArray: what a person's eyes would see, as numbers
CLOCK = "/clock"
