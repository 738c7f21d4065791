"""Rows about what the endpoint answers: lost, cut, partial, throttled and refused answers.

The endpoint's own record of what it stored is the truth. A message may arrive twice only when its answer did not arrive
whole and true, and each such repeat must be in kspool's own count of possible duplicates.
"""

import dataclasses
import time

from campaign_world import Trial  # first: it says where the rig is
import replies
from waits import NeverHappened, wait_for

MANY = {"batching": {"count": 20, "period": "5ms"}}


def judged(world, count, where, play, output=None, own=None, posts=6, seconds=30, duplicates=None):
    """One daemon; play(trial) sets the endpoint's answers; what follows are posts, then the verdict.
    duplicates: how many there may be at most; None: as many as kspool itself counted."""
    trial = Trial(world.place, output={**MANY, **(output or {})}, own=own)
    try:
        trial.spooler.start()
        play(trial)
        for _ in range(posts):
            trial.post()
        try:
            wait_for(trial.drained, where, seconds)
        except NeverHappened:
            count.faults.append(f"{where}: {seconds} s later {trial.spooler.ledger()['pending']} still wait")
        shelf = trial.spooler.ledger()["dead"]
        if shelf:
            count.faults.append(f"{where}: {shelf} were set aside")
        verdict = stopped_and_judged(trial, count, where, seconds)
        if duplicates is not None and verdict.duplicates > duplicates:
            count.faults.append(f"{where}: {verdict.duplicates} repeats, at most {duplicates} can be explained")
        return verdict
    finally:
        trial.close()


def stopped_and_judged(trial, count, where, seconds=20):
    possible = trial.spooler.metric("kspool_possible_duplicates")
    trial.spooler.stop()
    verdict = trial.judge(count, where, seconds=seconds)
    if verdict.duplicates > possible:
        count.faults.append(f"{where}: {verdict.duplicates} repeats, {possible:.0f} counted as possible")
    return verdict


# ---- 20, 21, 22: answers that do not arrive
def lost_answers(world, count):
    """Row 20: all is stored, the answer is not heard. The batch goes again, and nothing but the batch."""
    chance = world.chance("lost answers")
    kinds = {"reset": replies.reset(), "closed": replies.close_before_answer(), "too late": replies.late(1.5),
             "half the head": replies.cut_at(40), "all but a byte": replies.cut_at(-1)}
    cases = [(kind, chance.randrange(1, 7)) for _ in range(world.amount(1, 40)) for kind in kinds]

    def one(mine, case):
        kind, at = case

        def play(trial):
            trial.fake.then(*[replies.ok()] * (at - 1), _ambiguous(kinds[kind]))
        judged(world, mine, f"answer {at} {kind}", play, own={"request_timeout": "500ms"})
    world.each(count, cases, one)


def _ambiguous(reply):
    """The client cannot know it: an answer after its time was not heard."""
    return lambda fake, request: dataclasses.replace(reply(fake, request), ambiguous=True)


def cut_connections(world, count):
    """Row 21: a connection that was kept open ends, before or after the request was stored: nothing below kspool sends
    it again by itself. The endpoint counts what reached it."""
    kinds = {"FIN, stored": replies.close_before_answer(), "RST, stored": replies.reset(),
             "FIN, not stored": replies.close_before_answer(take=False), "RST, not stored": replies.reset(take=False),
             "FIN after the answer": replies.close_after_answer()}
    cases = [(kind, used) for _ in range(world.amount(1, 40)) for kind in kinds for used in (0, 1, 3)]

    def one(mine, case):
        kind, used = case
        trial = Trial(world.place, output={**MANY, "max_in_flight": 1})
        where = f"{kind}, the connection was used {used} times"
        try:
            trial.spooler.start()
            trial.fake.then(*[replies.ok()] * used, kinds[kind])
            for _ in range(used + 3):
                trial.post(5)
                wait_for(trial.drained, where, 20)
            asked = len(trial.fake.requests)
            wanted = used + 3 + (0 if kind == "FIN after the answer" else 1)
            if asked > wanted:
                mine.faults.append(f"{where}: {asked} requests reached the endpoint, {wanted} explain themselves")
            stopped_and_judged(trial, mine, where)
        finally:
            trial.close()
    world.each(count, cases, one)


def answers_cut(world, count):
    """Row 22: cut after every byte of head and body, twice over: stored and not stored. Never "delivered"."""
    whole = 400  # longer than any answer to one record
    bytes_ = range(0, whole) if not world.short else sorted(world.chance("cut").sample(range(whole), 40))

    def one(mine, byte):
        def play(trial):
            for stored in (True, False):
                trial.fake.then(_cut(byte, stored), replies.ok())
        judged(world, mine, f"cut at {byte}", play, output={"max_in_flight": 1, "batching": {"count": 1}}, posts=1)
    world.each(count, list(bytes_) * world.amount(1, 3), one)


def _cut(byte, stored):
    """Where the cut is behind the answer's end it was whole, and then it is as good as any."""
    def reply(fake, request):
        made = replies.cut_at(byte, take=stored)(fake, request)
        if byte >= len(fake._head(made, request)) + len(made.body):
            return replies.ok()(fake, request)
        return made
    return reply


# ---- 23: partial failures
def partial_failures(world, count):
    """Row 23: any part of a batch fails: exactly that part goes again."""
    codes = (replies.THROTTLED, replies.INTERNAL)

    def one(mine, number):
        chance = world.chance("partial", number)

        def play(trial):
            for _ in range(12):
                few = chance.random()
                trial.fake.then(replies.indexes({n: chance.choice(codes) for n in range(20) if chance.random() < few}))
        judged(world, mine, f"batches of seed {number}", play, duplicates=0, posts=10)
    world.each(count, list(range(world.amount(4, 50))), one)


# ---- 24: throttle storms
def throttle_storm(world, count):
    """Row 24: nothing is taken for a while: few requests without progress, nothing expires, all arrives when it is over."""
    def one(mine, seed):
        trial = Trial(world.place, output=MANY)
        where = f"storm of seed {seed}"
        try:
            trial.spooler.start()
            trial.fake.default = replies.throttle(1000, seed)
            for _ in range(8):
                trial.post()
            began, before = time.monotonic(), len(trial.fake.requests)
            seconds = world.amount(5, 30)
            time.sleep(seconds)
            asked, took = len(trial.fake.requests) - before, time.monotonic() - began
            if asked > 20 + 6 * took:  # the tests' brisk waits of 200 ms; some requests are allowed until it is learnt
                mine.faults.append(f"{where}: {asked} requests in {took:.1f} s while nothing was taken")
            trial.fake.default = replies.ok()
            try:
                wait_for(trial.drained, where, world.amount(90, 30))  # the time itself is judged by hand alone
            except NeverHappened:
                mine.faults.append(f"{where}: long after it {trial.spooler.ledger()['pending']} still wait")
            ledger = trial.spooler.ledger()
            if ledger["dead"] or ledger["expired"]:
                mine.faults.append(f"{where}: dead {ledger['dead']}, expired {ledger['expired']}")
            trial.spooler.stop()
            if trial.judge(mine, where).duplicates:
                mine.faults.append(f"{where}: repeats of what was refused")
        finally:
            trial.close()
    world.each(count, list(range(world.amount(2, 10))), one)


# ---- 25: poison
ON_THE_WAY = ("too large",)  # something between refuses it, not the service: it waits, for what is between may be mended
POISON = {
    "named": lambda at: replies.error(400, "ValidationException",
                                      f"1 validation error detected: Value at 'records.{at + 1}.member.data' failed"),
    "not named": lambda at: replies.error(400, "ValidationException", "something is wrong with your request"),
    "invalid argument": lambda at: replies.error(400, "InvalidArgumentException", "no"),
    "too large": lambda at: replies.error(413, "", form="html"),
}


def poison(world, count):
    """Row 25: requests with one message in them are refused as a whole. It is set aside, or waits where something on the
    way refuses it; the others go their way. When it is taken again it arrives too."""
    def one(mine, case):
        kind, place, size = case

        def play(trial):
            name = f'"n":{place + 1},'.encode()

            def poisoned(fake, request):
                at = [record.index for record in request.records if name in record.data]
                return (POISON[kind](at[0]) if at else replies.ok())(fake, request)
            trial.fake.default = poisoned
        judged_poison(world, mine, f"{kind}, message {place} of 60, batches of {size}", play,
                      {"batching": {"count": size, "period": "50ms"}}, kind in ON_THE_WAY)
    cases = [(kind, place, size) for kind in POISON for place in (0, 17, 59) for size in (1, 20, 60)]
    world.each(count, cases if not world.short else world.chance("poison").sample(cases, 8), one)


def judged_poison(world, count, where, play, output, waits):
    trial = Trial(world.place, output=output, own={"probe_initial": "20ms", "probe_max": "50ms"})
    wanted = {"delivered": 59, "pending": 1, "dead": 0} if waits else {"delivered": 59, "pending": 0, "dead": 1}
    try:
        trial.spooler.start()
        play(trial)
        for _ in range(6):
            trial.post()
        try:
            wait_for(lambda: wanted.items() <= trial.spooler.ledger().items(), where, 30)
        except NeverHappened:
            count.faults.append(f"{where}: {trial.spooler.ledger()}")
        trial.fake.default = replies.ok()
        if not waits:
            done = trial.command("dead", "list", "-c", trial.spooler.config_path)
            if b"Exception" not in done.stdout:
                count.faults.append(f"{where}: no reason on the shelf: {done.stdout[:120]}")
            done = trial.command("dead", "retry", "--all", "-c", trial.spooler.config_path)
            if done.returncode != 0:
                count.faults.append(f"{where}: dead retry ends with {done.returncode}: {done.stderr[-120:]}")
        wait_for(trial.drained, where, 20)
        trial.spooler.stop()
        if trial.judge(count, where).duplicates:
            count.faults.append(f"{where}: repeats of what was refused")
    finally:
        trial.close()


def rows():
    return [("20", "the answer is lost after all was stored", lost_answers),
            ("21", "a kept connection is cut", cut_connections),
            ("22", "the answer is cut at a byte", answers_cut),
            ("23", "a part of a batch fails", partial_failures),
            ("24", "a throttle storm", throttle_storm),
            ("25", "a poisoned message", poison)]
