"""The guide: its pages, what runs their blocks, and what measures."""
