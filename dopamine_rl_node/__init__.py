"""Nodes: agent (acts), learner (learns), command (owns the command topic)."""
