"""One module for each layout on disk: described by ``LAYOUT`` and ``FILES``, with `sniff` and `read`."""
