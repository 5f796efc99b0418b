"""How good the results are, beside baselines in the same run."""
