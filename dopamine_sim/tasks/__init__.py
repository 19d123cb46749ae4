"""What the arm is asked to do: objects, success, privileged progress and a person's plan, one file per task."""
