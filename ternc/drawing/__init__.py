"""Pictures of a program: as text for a terminal, as SVG for a page or a file."""
