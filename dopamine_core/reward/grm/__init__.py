"""The General Reward Model: its query, its prompt, its answers, and an engine that answers fast."""
