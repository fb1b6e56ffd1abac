"""How the weights of the zoo were made and measured; not part of the wheel."""
