"""SIGHUP: what can change changes, the rest is named."""

import os
import signal

from doors import post
from waits import free_port, stays, wait_for


def test_reload_takes_what_can_change(fake, http_door):
    spooler, address = http_door(output={"batching": {"count": 1000, "period": "60s"}})
    post(address, b"x")
    stays(lambda: not fake.requests, "it waits for its period", 0.4)
    spooler.reload(output={"aws_kinesis": {"batching": {"count": 1, "period": "10ms"}}})
    spooler.wait_delivered(1)


def test_a_bad_file_keeps_the_old_configuration_and_says_so(fake, http_door):
    spooler, address = http_door()
    good = spooler.config_path.read_text()
    spooler.config_path.write_text("output: [")
    spooler.process.send_signal(signal.SIGHUP)
    spooler.wait_log("not reloaded")
    assert "line=1" in spooler.log()
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)
    spooler.config_path.write_text(good)


def test_new_credentials_by_reload_end_a_hold(fake, http_door):
    from fake_kinesis import IDENTITY
    spooler, address = http_door(output={"credentials": {"secret": "wrong"}})
    post(address, b"x")
    spooler.wait_state("held")
    spooler.reload(output={"aws_kinesis": {"credentials": {"secret": IDENTITY[1]}}})
    spooler.wait_delivered(1)


def test_what_needs_a_restart_is_named_and_stays(fake, http_door):
    """Messages went to the new stream, while the log said that this needs a restart."""
    spooler, address = http_door()
    spooler.reload(output={"aws_kinesis": {"stream": "another"}})
    spooler.wait_log("output.aws_kinesis.stream")
    spooler.wait_log("configuration reloaded")
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)
    assert {request.stream for request in fake.requests} == {"s"}
    stays(lambda: spooler.status()["stream"]["name"] == "s", spooler.status)


def test_a_reload_whose_log_cannot_be_opened_changes_nothing(fake, http_door):
    """Delivery had taken the new configuration already, which was then freed."""
    spooler, address = http_door()
    for _ in range(3):
        spooler.reload(logger={"level": "DEBUG", "file": {"path": "/nonexistent/log"}},
                       output={"aws_kinesis": {"batching": {"count": 7}}})
        spooler.wait_log("configuration not reloaded")
        assert post(address, b"x")[0] == 200
    spooler.wait_delivered(3)
    spooler.stop()


def test_many_reloads(fake, http_door):
    """The 65th was refused: once a day that is two months."""
    spooler, address = http_door()
    for number in range(70):
        spooler.reload()
        wait_for(lambda: spooler.log().count("configuration reloaded") > number, spooler.tail)
    assert post(address, b"x")[0] == 200
    spooler.wait_delivered(1)


def test_reloads_keep_one_log_open(fake, http_door, folder):
    spooler, _ = http_door(logger={"level": "INFO", "file": {"path": f"{folder}/own.log"}})

    def open_logs():
        links = [os.readlink(f"/proc/{spooler.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{spooler.process.pid}/fd")]
        return [link for link in links if "own.log" in link]
    for number in range(5):
        os.rename(f"{folder}/own.log", f"{folder}/own.log.{number}")
        spooler.process.send_signal(signal.SIGHUP)
        wait_for(lambda: os.path.exists(f"{folder}/own.log") and os.path.getsize(f"{folder}/own.log"), "the new file")
    assert open_logs() == [f"{folder}/own.log"]


def test_a_reload_reads_the_tokens_again(fake, new_spooler, folder):
    """A token that was taken out of its file was good until the next restart."""
    def write(text):
        with open(f"{folder}/tokens", "w") as tokens:
            tokens.write(text)
        os.chmod(f"{folder}/tokens", 0o600)

    def statuses():
        return [post(address, b"x", headers={"Authorization": f"Bearer {token}"})[0]
                for token in ("the-first-secret-of-all", "another-secret-of-them")]

    write("the-first-secret-of-all\n")
    address = ("127.0.0.1", free_port())
    spooler = new_spooler(fake.endpoint, {"http_server": {"address": f"127.0.0.1:{address[1]}",
                                                          "token_file": f"{folder}/tokens"}}).start()
    assert statuses() == [200, 401]
    write("another-secret-of-them\n")
    spooler.reload()
    spooler.wait_log("configuration reloaded")
    assert statuses() == [401, 200]
    write("short\n")
    spooler.reload()
    spooler.wait_log("tokens and certificates not read again, the old ones stay")
    assert statuses() == [401, 200]
