"""L-MAC: a decoder, trained on a model's hidden layers, that says which part it listens to."""
