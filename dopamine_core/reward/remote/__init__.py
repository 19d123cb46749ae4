"""Reward models that answer elsewhere: a client of OpenAI-compatible servers and what the back ends share."""
