"""Several processes that share the genes of one computation."""
