"""What the product is called, and the words that stand on all that leaves it."""

PRODUCT = "Membrana"
RESEARCH_USE_ONLY = "For Research Use Only. Not for use in diagnostic procedures."
