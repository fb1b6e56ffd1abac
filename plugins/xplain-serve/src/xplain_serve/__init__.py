"""A page on this machine to drop or record a sound and have it explained."""
