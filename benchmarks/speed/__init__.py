"""How long the stages take and how much memory they need, beside a yardstick in the same run."""
