"""Gene pairs: known interactions against degree-matched pairs of the same genes."""
