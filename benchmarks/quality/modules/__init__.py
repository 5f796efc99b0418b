"""Modules of genes: recovery of planted modules, calibration, and the limit of a Bayes classifier; see `__main__`."""
