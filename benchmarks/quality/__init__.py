"""Quality of the results, compared with baselines in the same run."""
