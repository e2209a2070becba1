"""What servers, proxies and clients do with a stream: answers in words."""
