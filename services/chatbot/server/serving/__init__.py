"""The process as a server: sockets, connections, signals, the end."""
