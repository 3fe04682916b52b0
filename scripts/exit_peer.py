#!/usr/bin/env python3
"""Do what lines on standard input say with TCP sockets, and end without closing them.

A line is a JSON object: {"id": 1, "do": "connect", "host": "192.168.12.53", "port": 9000}.
Each is answered by one on standard output: {"id": 1, "error": "", ...}; where it failed, with
the reason in error and its number in errno. What waits does not keep the next line from being
done.

  listen   host port backlog           -> socket local
  accept   socket                      -> socket local remote
  connect  host port [from: [host, port]]  -> socket local remote
  send     socket data (hex)
  recv     socket bytes                -> data (hex; empty at the end-of-file)
  shutdown socket
  close    socket
  exit                                 ends the process: no socket is closed, exit code 0

Its first line says {"pid": ...}. At the end of its input it ends as by exit.
Exits with 0 when done, 1 when a line made no sense.
"""

import json
import os
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

sockets = {}
lock = threading.Lock()


def say(answer):
    with lock:
        print(json.dumps(answer), flush=True)


def keep(sock, remote=None):
    answer = {"socket": sock.fileno(), "local": sock.getsockname()[:2]}
    if remote:
        answer["remote"] = remote[:2]
    sockets[sock.fileno()] = sock
    return answer


def opened(host):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    except OSError:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sock


def listen(line):
    sock = opened(line["host"])
    sock.bind((line["host"], line["port"]))
    sock.listen(line["backlog"])
    return keep(sock)


def accept(line):
    return keep(*sockets[line["socket"]].accept())


def connect(line):
    sock = opened(line["host"])
    if line.get("from"):
        sock.bind(tuple(line["from"]))
    sock.connect((line["host"], line["port"]))
    return keep(sock, sock.getpeername())


def send(line):
    sockets[line["socket"]].sendall(bytes.fromhex(line["data"]))
    return {}


def recv(line):
    return {"data": sockets[line["socket"]].recv(line["bytes"]).hex()}


def shutdown(line):
    sockets[line["socket"]].shutdown(socket.SHUT_WR)
    return {}


def close(line):
    sockets.pop(line["socket"]).close()
    return {}


DOES = {f.__name__: f for f in (listen, accept, connect, send, recv, shutdown, close)}


def answer(line):
    try:
        say({"id": line["id"], "error": "", **DOES[line["do"]](line)})
    except OSError as error:
        say({"id": line["id"], "error": error.strerror or str(error), "errno": error.errno or 0})
    except (KeyError, ValueError, TypeError) as error:
        nonsense(line, error)


def nonsense(line, error):
    print(f"exit_peer.py: {line!r}: {error!r}", file=sys.stderr, flush=True)
    leave(1)


def leave(code):
    # Not sys.exit: that would close what is open first. The kernel shall do it.
    os._exit(code)


def main():
    say({"pid": os.getpid()})
    # Threads that stay: who traces the kernel asks of the thread that made a call.
    pool = ThreadPoolExecutor(max_workers=64)
    for text in sys.stdin:
        try:
            line = json.loads(text)
            if line["do"] == "exit":
                leave(0)
            if line["do"] not in DOES:
                raise ValueError(f"nothing is called {line['do']!r}")
            line["id"]
        except (ValueError, KeyError, TypeError) as error:
            nonsense(text.strip(), error)
        pool.submit(answer, line)
    leave(0)


if __name__ == "__main__":
    main()
