"""Lines that a client's kernel has taken when kspool is told to stop: they are read, for as long as they come."""

import re
import signal
import socket

import pytest

from waits import free_port, wait_for


def fill(s, line):
    """Until no kernel takes more. Returns the bytes that one took."""
    s.setblocking(False)
    sent = 0
    try:
        while True:
            sent += s.send(line * 4096)
    except BlockingIOError:
        return sent


@pytest.fixture(params=["tcp", "unix"])
def lines(request, fake, new_spooler, folder):
    fake.offline()
    tcp = request.param == "tcp"
    address = f"127.0.0.1:{free_port()}" if tcp else f"{folder}/lines"
    spooler = new_spooler(fake.endpoint, {"socket_server": {"network": request.param, "address": address}},
                          shutdown_timeout="30s").start()
    s = socket.create_connection(("127.0.0.1", int(address.split(":")[1]))) if tcp else socket.socket(socket.AF_UNIX)
    if not tcp:
        s.connect(address)
    yield spooler, s
    s.close()


@pytest.mark.parametrize("closes", [True, False])
def test_what_a_kernel_has_taken_is_stored(lines, closes):
    spooler, s = lines
    s.sendall(b"0000000\n")
    spooler.wait_ledger(accepted=1)
    spooler.process.send_signal(signal.SIGSTOP)
    whole = fill(s, b"1234567\n") // 8
    if closes:
        s.close()
    spooler.process.send_signal(signal.SIGTERM)
    spooler.process.send_signal(signal.SIGCONT)
    wait_for(lambda: not spooler.running, spooler.tail, 40)
    assert spooler.process.returncode == 0
    accepted = re.search(rb"accepted (\d+)", spooler.run("check", "--spool", spooler.spool).stdout)
    assert int(accepted[1]) == whole + 1


def test_who_goes_on_is_cut_and_told(lines):
    spooler, s = lines
    s.sendall(b"0000000\n")
    spooler.wait_ledger(accepted=1)
    spooler.process.send_signal(signal.SIGTERM)
    s.settimeout(60)
    with pytest.raises(OSError):
        while True:
            s.sendall(b"1234567\n" * 4096)
    wait_for(lambda: not spooler.running, spooler.tail, 40)
    assert spooler.process.returncode == 0 and "kspool stops, and the client goes on" in spooler.log()
