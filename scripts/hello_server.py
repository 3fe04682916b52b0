#!/usr/bin/env python3
"""Say hello to each client, print what it answers, and close the connection.

Exits with 0 when done (or interrupted), 1 when something failed, 2 on wrong usage.
"""

import argparse
import signal
import socket
import sys


def positive(text):
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 or more")
    return number


def port_number(text):
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return number


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("host", nargs="?", default="192.168.12.53",
                        help="address to listen on (default: %(default)s)")
    parser.add_argument("port", nargs="?", type=port_number, default=9000,
                        help="port to listen on, 0 for a free one (default: %(default)s)")
    how_many = parser.add_mutually_exclusive_group()
    how_many.add_argument("--once", dest="count", action="store_const", const=1,
                          help="serve one client, then exit")
    how_many.add_argument("--count", type=positive, metavar="N",
                          help="serve N clients, one after the other, then exit")
    parser.add_argument("--await-close", action="store_true",
                        help="close only after the client has: its close is the active one")
    return parser.parse_args()


def complain(what, error):
    # A bare OSError prints its number; its text alone is what people read.
    reason = getattr(error, "strerror", None) or error
    print(f"hello_server.py: {what}: {reason}", file=sys.stderr, flush=True)


def show_address(address):
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def open_listener(host, port):
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # Without it a restart has to wait for the last run's TIME-WAIT to end.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def talk(conn, await_close):
    conn.sendall(b"hello")
    print(conn.recv(1024), flush=True)
    while await_close and conn.recv(1024):
        pass


def serve(listener, args):
    """Serve args.count clients (None: without end); tell whether all went well."""
    good, served = True, 0
    while args.count is None or served < args.count:
        conn, peer = listener.accept()
        served += 1
        with conn:
            try:
                talk(conn, args.await_close)
            except OSError as error:
                good = False
                complain(show_address(peer), error)
    return good


def main():
    args = parse_args()
    # A shell ignores it for what it runs in the background, where it should work too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        listener = open_listener(args.host, args.port)
    except OSError as error:
        complain(f"listen on {show_address((args.host, args.port))}", error)
        return 1
    with listener:
        print("listening on", show_address(listener.getsockname()), file=sys.stderr, flush=True)
        try:
            good = serve(listener, args)
        except KeyboardInterrupt:
            return 0
        except OSError as error:
            complain("accept", error)
            return 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
