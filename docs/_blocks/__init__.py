"""What runs the blocks of a page."""
