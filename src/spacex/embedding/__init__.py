"""The embedding of genes: the estimator, its fit and its stored form."""
