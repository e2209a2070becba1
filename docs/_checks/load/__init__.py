"""What takes minutes: clients by the thousand, a worker that is killed, a very large export."""
