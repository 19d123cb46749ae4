"""Episodes: state machine, recording, keyframes, assembly into data."""
