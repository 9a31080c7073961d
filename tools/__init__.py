"""Programs that make the files shipped inside the package; none is imported by it."""
