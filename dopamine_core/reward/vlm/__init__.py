"""What the vision-language back ends share: checkpoints, images and token sequences."""
