"""One module per layout on disk, which implements `spacex.io._registry.Reader`."""
