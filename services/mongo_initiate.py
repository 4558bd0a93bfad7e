"""Makes a mongod the only member of its replica set, and waits until it is primary: mongo_initiate.py PORT.

Uses the wire protocol directly, because mongod comes without a shell.
"""

import socket
import struct
import sys
import time


def encode(document):
    """Encodes BSON with the types that commands need: bools, ints, strings, lists and documents."""
    out = b""
    for key, value in document.items():
        name = key.encode() + b"\0"
        if isinstance(value, bool):
            out += b"\x08" + name + bytes([value])
        elif isinstance(value, int):
            out += b"\x10" + name + struct.pack("<i", value)
        elif isinstance(value, str):
            text = value.encode() + b"\0"
            out += b"\x02" + name + struct.pack("<i", len(text)) + text
        elif isinstance(value, dict):
            out += b"\x03" + name + encode(value)
        elif isinstance(value, list):
            out += b"\x04" + name + encode({str(index): item for index, item in enumerate(value)})
        else:
            raise TypeError(f"{key}: {type(value)}")
    return struct.pack("<i", len(out) + 5) + out + b"\0"


def command(port, document):
    """Sends a command to the database `admin`, and returns the raw response."""
    with socket.create_connection(("127.0.0.1", port), 5) as peer:
        body = struct.pack("<i", 0) + b"\0" + encode({**document, "$db": "admin"})
        peer.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body)
        length = struct.unpack("<i", peer.recv(4, socket.MSG_WAITALL))[0]
        return peer.recv(length - 4, socket.MSG_WAITALL)


def main():
    port = int(sys.argv[1])
    members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
    # If the set already exists, the command fails, which is fine.
    command(port, {"replSetInitiate": {"_id": "rs0", "members": members}})
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if b"\x08isWritablePrimary\x00\x01" in command(port, {"hello": 1}):
            return
        time.sleep(0.05)
    sys.exit("mongod has no primary after 30 s; see its log")


main()
