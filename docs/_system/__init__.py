"""What blocks and measurements share: the ports and programs of this machine."""
