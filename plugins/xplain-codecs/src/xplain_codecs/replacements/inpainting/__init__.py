"""A generative in-painter: latents that could be where elements were removed."""
