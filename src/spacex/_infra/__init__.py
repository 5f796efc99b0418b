"""What every package needs: errors, checks of arguments, memory, atomic writes."""
