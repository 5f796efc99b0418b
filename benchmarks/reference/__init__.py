"""References: building those that are shipped, and what a reference adds to sections of other donors."""
