"""What the suite checks beside the blocks of a page."""
