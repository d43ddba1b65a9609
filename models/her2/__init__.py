"""HER2: from cells to a category with its evidence (arrays only: no tensors, no database)."""
