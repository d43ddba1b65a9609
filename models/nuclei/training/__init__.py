"""How the shipped nucleus detector was trained, to train it anew."""
