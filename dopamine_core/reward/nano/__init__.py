"""Training of the nano GRM: model, data, trainer and export. Running it needs only ``reward/models/nano.py``."""
