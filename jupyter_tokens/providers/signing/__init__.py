"""Request signatures, one module per algorithm, and the canonical form that both algorithms sign."""
