"""What measures servers, clients, Flask and speed, and makes tables and figures of it."""
