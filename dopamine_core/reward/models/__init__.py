"""Reward model back ends, one file each, behind one seam (``dopamine_core.reward.session``)."""
