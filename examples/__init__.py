"""Complete Flask apps that stream: run them, copy them, read them beside the guide."""
