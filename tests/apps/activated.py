"""Serves the sockets that it was started with, by the protocol of sd_listen_fds(3)."""
import os
import socket

assert int(os.environ["LISTEN_PID"]) == os.getpid()
names = os.environ["LISTEN_FDNAMES"].split(":")
assert len(names) == int(os.environ["LISTEN_FDS"])
listener = socket.socket(fileno=3)
print("serving", ",".join(names), flush=True)
while True:
    connection, _ = listener.accept()
    connection.sendall(f"{os.getpid()} {os.environ['NODE_APP_INSTANCE']}\n".encode())
    connection.close()
