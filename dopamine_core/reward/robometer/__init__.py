"""Robometer: its checkpoint, its tokens, its images, its prompt, and the engine that reads its heads."""
