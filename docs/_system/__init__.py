"""What blocks and measurements share: ports and programs of this machine, and TOML files."""
