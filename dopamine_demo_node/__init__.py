"""Node: the one authority on episodes; recording, reset, practice, adaptation."""
