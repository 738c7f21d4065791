"""The ledgers outside the daemon, and the verdict every scenario ends with.

Sender ledger: what a client gave, and what the daemon said yes to (written after the yes). Sink ledger: what the fake
stored (written before it answered). A message is known by its id when it carries one ("id":"..."), else by its bytes.
"""

import hashlib
import pathlib
import re
import threading
from collections import defaultdict

ID = re.compile(rb'"id":\s*"([^"]{1,64})"')
LEDGER_DEF = pathlib.Path(__file__).resolve().parents[2] / "src/base/ledger.def"
SETTLED = tuple(re.findall(r"^LEDGER_(?:STATE|END)\(\w+, (\w+), ", LEDGER_DEF.read_text(), re.M))
KILL_WINDOW_S = 1.0  # an answer older than this at the moment of a kill was settled: a repeat of it is a fault


def identity(payload):
    match = ID.search(payload)
    return match.group(1).decode() if match else hashlib.sha256(payload).hexdigest()


def message(number, client="m", size=0):
    """A JSON line with an id, filled to `size` bytes."""
    head = f'{{"id":"{client}-{number:08d}","n":{number},"pad":"'
    return (head + "x" * max(0, size - len(head) - 2) + '"}').encode()


class SenderLedger:
    def __init__(self):
        self.sent, self.acked, self._lock = {}, {}, threading.Lock()

    def send(self, payload):
        with self._lock:
            self.sent[identity(payload)] = hashlib.sha256(payload).hexdigest()
        return payload

    def ack(self, payload):
        with self._lock:
            name = identity(payload)
            self.acked[name] = self.sent[name]

    def all_acked(self, payloads):
        for payload in payloads:
            self.send(payload)
            self.ack(payload)
        return payloads


class Verdict:
    """Counts, the four lines, and check() which fails the test when one of them is not as promised."""

    def __init__(self, sender, stored, kills=(), elsewhere=(), ledger=None, possible_duplicates=None):
        times = defaultdict(list)
        for record in stored:
            times[record.name].append(record)
        away = set(elsewhere)  # ids that may rightly be absent: pending, dead, evicted, as the journal says
        self.lost = sorted(name for name in sender.acked if name not in times and name not in away)
        self.forged = sorted(name for name in times if name not in sender.sent)
        self.altered = sorted(name for name, records in times.items() if name in sender.sent and any(
            r.sha != sender.sent[name] for r in records))
        self.duplicates = sum(len(records) - 1 for records in times.values())
        self.unexplained = [(name, record.request.number, record.request.fate)
                            for name, records in times.items() for record in records[:-1]
                            if not explained(record, kills)]
        self.delivered, self.accepted = len(times), len(sender.acked)
        self.ledger, self.possible_duplicates = ledger, possible_duplicates

    def balanced(self):
        return self.ledger is None or self.ledger["accepted"] == sum(self.ledger[state] for state in SETTLED)

    def lines(self):
        shown = "not asked" if self.ledger is None else (
            f"accepted {self.ledger['accepted']} = " + " + ".join(f"{s} {self.ledger[s]}" for s in SETTLED))
        return [f"lost        {len(self.lost)} of {self.accepted} accepted {self.lost[:5] or ''}",
                f"forged      {len(self.forged)} of {self.delivered} delivered {self.forged[:5] or ''}",
                f"altered     {len(self.altered)} {self.altered[:5] or ''}",
                f"duplicates  {self.duplicates}, unexplained {len(self.unexplained)} {self.unexplained[:5] or ''}",
                f"ledger      {'balanced' if self.balanced() else 'DOES NOT BALANCE'}: {shown}"]

    def good(self):
        counted = self.possible_duplicates is None or self.duplicates <= self.possible_duplicates
        return not (self.lost or self.forged or self.altered or self.unexplained) and self.balanced() and counted

    def check(self, duplicates=None):
        text = "\n".join(self.lines())
        assert self.good(), f"\n{text}\nkspool_possible_duplicates {self.possible_duplicates}"
        if duplicates is not None:
            assert self.duplicates == duplicates, f"\n{text}\nexpected {duplicates} duplicates"
        return self


def explained(record, kills):
    """A stored record may be sent again only when its answer did not arrive whole and true, or when the daemon that sent
    it was killed before it can have settled it: after it signed the request (whole seconds), and before the answer or
    soon after it. The fake may read a dead daemon's last requests late: only the signature says when they were made."""
    if record.request.ambiguous or not record.request.answered_at:
        return True
    signed, answered = record.request.signed_at, record.request.answered_at
    return any(signed <= at <= answered + KILL_WINDOW_S for at in kills)
