"""What is fast: answers in numbers."""
