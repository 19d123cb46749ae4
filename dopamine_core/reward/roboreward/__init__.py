"""RoboReward: its prompt, its video input, and its answers."""
