"""From proposed actions to limited joint commands; importable without torch."""
