"""Which models and clips the verdict is calibrated on, and what a gallery's table is made of."""
