#!/usr/bin/env python3
"""Connect to the hello server, print its greeting, answer byebye, and close.

Exits with 0 when done, 1 when the connection failed, 2 on wrong usage.
"""

import argparse
import socket
import sys


def port_number(text):
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to 65535")
    return number


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("host", nargs="?", default="192.168.12.53",
                        help="the server's address (default: %(default)s)")
    parser.add_argument("port", nargs="?", type=port_number, default=9000,
                        help="the server's port (default: %(default)s)")
    parser.add_argument("--timeout", type=float, metavar="SECONDS",
                        help="longest wait for the connection and for each answer (default: none)")
    parser.add_argument("--await-close", action="store_true",
                        help="close only after the server has: its close is the active one")
    return parser.parse_args()


def complain(args, what, error):
    reason = getattr(error, "strerror", None) or error
    print(f"hello_client.py: {what} {args.host} port {args.port}: {reason}", file=sys.stderr)


def talk(conn, args):
    """Hold the conversation; tell whether the server said anything."""
    greeting = conn.recv(1024)
    print(greeting, flush=True)
    if not greeting:
        return False
    conn.sendall(b"byebye")
    while args.await_close and conn.recv(1024):
        pass
    return True


def main():
    args = parse_args()
    try:
        conn = socket.create_connection((args.host, args.port), args.timeout)
    except OSError as error:
        complain(args, "connect to", error)
        return 1
    with conn:
        try:
            answered = talk(conn, args)
        except OSError as error:
            complain(args, "talk with", error)
            return 1
    if not answered:
        complain(args, "talk with", "the server closed before it said anything")
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
