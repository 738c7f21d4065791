"""ThinLink: a modem between the daemon and an endpoint, in user space: a rate each way, a delay, and times when it is
silent.

All connections share one line each way, as they do on a radio. What a sender has on the line is small (the smallest
receive buffer, small pieces), so that its kernel sees bytes acknowledged as fast as they pass, and no faster.
"""

import queue
import socket
import threading
import time

PIECE_S = 0.1  # of line time that is taken from a sender at once
LATE_S = 0.25  # a thread that woke late makes up for it: the line did not wait


class Way:
    """One direction: who wants to send waits until the line is free and has carried the piece."""

    def __init__(self, link, rate):
        self.link, self.rate, self.free_at, self.bytes, self.turn = link, rate, 0.0, 0, threading.Lock()
        self.first_at = None  # when it began to carry something

    def piece(self):
        return max(64, min(1400, int(self.rate * PIECE_S)))

    def carry(self, count):
        with self.turn:
            self.first_at = self.first_at or time.monotonic()
            at = max(time.monotonic() - LATE_S, self.free_at)
            at = self.link.past_silence(at, count / self.rate)
            self.free_at = at
            _sleep_until(at)
            self.bytes += count
        return at


class ThinLink:
    def __init__(self, port, up, down=None, delay=0.0, silences=(), host="127.0.0.1"):
        """up, down: bytes a second (down is four times up when not given). delay: seconds each way. silences: (after
        so many seconds from now, for how long)."""
        self.target, self.delay, self.began = (host, port), delay, time.monotonic()
        self.silences = [(self.began + after, self.began + after + lasts) for after, lasts in silences]
        self.up, self.down, self.connections = Way(self, up), Way(self, down or up * 4), 0
        self.listener = socket.socket()
        # Accepted ones inherit it; the kernel's least is about 2 KB.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(up * 2 * PIECE_S))
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.endpoint = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.open, self.lock = [], threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def silent(self, lasts):
        """From now on, for so many seconds."""
        self.silences = self.silences + [(time.monotonic(), time.monotonic() + lasts)]

    def past_silence(self, at, takes):
        """When something that begins at `at` and takes so long on the line has passed."""
        for begin, end in sorted(self.silences):
            if at + takes > begin and at < end:
                takes, at = max(0.0, takes - max(0.0, begin - at)), end
        return at + takes

    def close(self):
        self.listener.close()
        with self.lock:
            for end in self.open:
                _end(end)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
            except OSError:
                return
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                self.open += [client, server]
            for source, sink, way in ((client, server, self.up), (server, client, self.down)):
                arriving = queue.Queue()
                threading.Thread(target=self._take, args=(source, way, arriving), daemon=True).start()
                threading.Thread(target=self._give, args=(sink, arriving), daemon=True).start()

    def _take(self, source, way, arriving):
        try:
            while piece := source.recv(way.piece()):
                arriving.put((way.carry(len(piece)) + self.delay, piece))
        except OSError:
            pass
        arriving.put((self.past_silence(time.monotonic(), 0) + self.delay, b""))

    def _give(self, sink, arriving):
        while True:
            at, piece = arriving.get()
            _sleep_until(at)
            if not piece:
                _end(sink)
                return
            try:
                sink.sendall(piece)
            except OSError:
                pass  # what still arrives is dropped


def _sleep_until(at):
    if (left := at - time.monotonic()) > 0:
        time.sleep(left)


def _end(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()
