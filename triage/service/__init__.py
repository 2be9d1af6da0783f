"""The composition root: adapters wired to the line, loops, signals and worker processes."""
