"""From camera images to the encoded, paired frames that every later part uses."""
