#!/usr/bin/env python3
"""Send bytes to an echo service (RFC 862) and check that the same come back.

Exits with 0 when they did, 1 when they did not or the connection failed, 2 on wrong usage.
"""

import argparse
import socket
import sys
import threading
import time


def port_number(text):
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to 65535")
    return number


def positive(text):
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 or more")
    return number


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("host", nargs="?", default="192.168.12.53",
                        help="the service's address (default: %(default)s)")
    parser.add_argument("port", nargs="?", type=port_number, default=7,
                        help="the service's port (default: %(default)s)")
    parser.add_argument("--udp", action="store_true", help="send one datagram instead of a stream")
    parser.add_argument("--data", default="the quick brown fox jumps over the lazy dog\n",
                        help="what to send (default: a sentence)")
    parser.add_argument("--repeat", type=positive, default=1, metavar="N",
                        help="send the data N times over, as one piece (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=10, metavar="SECONDS",
                        help="longest wait for the connection and for each answer (default: %(default)s)")
    return parser.parse_args()


def connect(args):
    if not args.udp:
        return socket.create_connection((args.host, args.port), args.timeout)
    family, kind, protocol, _, address = socket.getaddrinfo(args.host, args.port, type=socket.SOCK_DGRAM)[0]
    conn = socket.socket(family, kind, protocol)
    conn.settimeout(args.timeout)
    conn.connect(address)
    return conn


def send(conn, data, errors):
    try:
        conn.sendall(data)
    except OSError as error:
        errors.append(error)


def receive(conn, size):
    parts, missing = [], size
    while missing > 0:
        part = conn.recv(min(missing, 65536))
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def exchange(conn, data, udp):
    if udp:
        conn.send(data)
        return conn.recv(65536)
    # A second thread sends: the service stops reading when nobody takes its echo.
    errors = []
    sender = threading.Thread(target=send, args=(conn, data, errors))
    sender.start()
    try:
        back = receive(conn, len(data))
        if len(back) < len(data):
            conn.shutdown(socket.SHUT_RDWR)  # it closed early: end the sender too
    finally:
        sender.join()
    if errors and len(back) == len(data):
        raise errors[0]
    return back


def main():
    args = parse_args()
    data = args.data.encode() * args.repeat
    try:
        with connect(args) as conn:
            start = time.perf_counter()
            back = exchange(conn, data, args.udp)
            took = time.perf_counter() - start
    except OSError as error:
        reason = error.strerror or error
        print(f"echo_client.py: {args.host} port {args.port}: {reason}", file=sys.stderr)
        return 1
    if back != data:
        print(f"echo_client.py: {args.host} port {args.port}: not an echo: "
              f"{len(data)} bytes sent, {len(back)} came back, not the same", file=sys.stderr)
        return 1
    print(f"{len(back)} bytes back in {took * 1000:.3f} ms")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
