"""Every ordered pair of processors over one small batch, against a model of each processor that knows nothing of kspool's
code: through the real intake, pipeline, journal and store, twice (for `dedupe`), and as at flush, over numbered rows.
The verdict is the house's: lost 0, forged 0, altered 0, ledger balanced."""

import json
import pathlib
import subprocess
import zlib
from collections import Counter
from dataclasses import dataclass, replace

from spooler import BINARY

PROGRAM = pathlib.Path(BINARY).parent.parent / "tests" / "program_pairs"
BATCH = [b"[1,2]", b"[3]", b"[1,2]", b"x"]


class Key:
    """One use of one key by `dedupe`, shared by everything made of the message."""

    def __init__(self, text):
        self.text, self.kept = text, False


@dataclass
class Message:
    body: bytes
    ids: frozenset  # which of the batch it stands for
    parts: tuple = ((),)  # the keys of each thing that it was made of
    failed: bool = False

    def with_body(self, body):
        return replace(self, body=body)


class Failed(Exception):
    pass


def mapping(change):
    """Each message alone; a failure leaves it as it was, flagged; None deletes it."""
    def run(batches):
        for batch in batches:
            result = []
            for m in batch:
                try:
                    body = change(m.body)
                except Failed:
                    result.append(replace(m, failed=True))
                    continue
                if body is not None:
                    result.append(m.with_body(body))
            yield result
    return run


def append(letter):
    return mapping(lambda body: body + letter)


def throw_on_x(body):
    if body == b"x":
        raise Failed
    return body


def unzip(body):
    reader = zlib.decompressobj()
    try:
        plain = reader.decompress(body)
    except zlib.error:
        raise Failed from None
    if not reader.eof:
        raise Failed
    return plain


def join(batch, body):
    parts = []
    for m in batch:
        parts += [part for part in m.parts if part not in parts]
    return replace(batch[0], body=body, ids=frozenset().union(*(m.ids for m in batch)), parts=tuple(parts))


def archive(batches):
    for batch in batches:
        yield [join(batch, b"\n".join(m.body for m in batch))]


def unarchive(batches):
    for batch in batches:
        result = []
        for m in batch:
            try:
                pieces = json.loads(m.body)
            except ValueError:
                pieces = None
            if isinstance(pieces, list):
                result += [m.with_body(json.dumps(piece).encode()) for piece in pieces]
            else:
                result.append(replace(m, failed=True))
        yield result


def unarchive_lines(batches):
    for batch in batches:
        yield [m.with_body(line) for m in batch for line in m.body.split(b"\n")]


def bounds_check(batches):
    for batch in batches:
        if all(1 <= len(m.body) <= 5 for m in batch):
            yield batch


def dedupe(batches):
    for batch in batches:
        result = []
        for m in batch:
            key = Key(m.body)
            result.append(replace(m, parts=tuple((*part, key) for part in m.parts)))
        yield result


def group_by(batches):
    for batch in batches:
        yield from archive([[m for m in batch if b"1" in m.body]] if any(b"1" in m.body for m in batch) else [])
        yield [m for m in batch if b"1" not in m.body]


def group_by_value(batches):
    for batch in batches:
        for length in dict.fromkeys(len(m.body) for m in batch):
            yield [m for m in batch if len(m.body) == length]


def insert_part(batches):
    for batch in batches:
        yield [replace(join(batch, b"tail"), ids=batch[0].ids), *batch]


def select_parts(batches):
    for batch in batches:
        yield [batch[n] for n in (1, 0, 0) if n < len(batch)]


def split(batches):
    for batch in batches:
        for at in range(0, len(batch), 2):
            yield batch[at:at + 2]


def alone(run):
    def each(batches):
        for batch in batches:
            yield [m for one in batch for result in run([[one]]) for m in result]
    return each


def switch(batches):
    for batch in batches:
        result = []
        for m in batch:
            case = append(b"s") if b"3" in m.body else unarchive_lines
            result += next(iter(case([[m]])))
        yield result


def attempt(batches):
    """Throws on x, then appends: each alone, and a failed one takes no further step."""
    for batch in batches:
        result = []
        for m in batch:
            if not m.failed:
                m = next(iter(mapping(throw_on_x)([[m]])))[0]
            result.append(m if m.failed else m.with_body(m.body + b"t"))
        yield result


def rescue(letter):
    def run(batches):
        for batch in batches:
            yield [replace(m, body=m.body + letter, failed=False) if m.failed else m for m in batch]
    return run


def try_catch(batches):
    for batch in batches:
        tried = [m if m.failed else next(iter(mapping(throw_on_x)([[m]])))[0] for m in batch]
        yield from rescue(b"k")([tried])


def loop(batches):
    for batch in batches:
        while len(batch[0].body) < 7:
            batch = next(iter(append(b"w")([batch])))
        yield batch


def same(batches):
    yield from batches


def text(expression):
    return f"root = {expression}"


PLUS = 'content().string() + "%s"'
ON_X = 'root = if content().string() == "x" { throw("no") }'
PROCESSORS = {
    "archive": ({"format": "lines"}, archive),
    "bloblang": (text(PLUS % "b"), append(b"b")),
    "bounds_check": ({"max_part_size": 5}, bounds_check),
    "catch": ([{"mapping": text(PLUS % "c")}], rescue(b"c")),
    "compress": ({"algorithm": "zlib"}, mapping(zlib.compress)),
    "decompress": ({"algorithm": "zlib"}, mapping(unzip)),
    "dedupe": ({"cache": "seen", "key": "${! content() }"}, dedupe),
    "for_each": ([{"mapping": text(PLUS % "f")}], alone(append(b"f"))),
    "group_by": ([{"check": 'content().string().contains("1")', "processors": [{"archive": {"format": "lines"}}]}],
                 group_by),
    "group_by_value": ({"value": "${! content().length() }"}, group_by_value),
    "insert_part": ({"index": 0, "content": "tail"}, insert_part),
    "log": ({"level": "DEBUG", "message": "x"}, same),
    "mapping": ('root = if content().string() == "x" { deleted() }', mapping(lambda b: None if b == b"x" else b)),
    "metric": ({"type": "counter", "name": "seen"}, same),
    "mutation": (text(PLUS % "m"), append(b"m")),
    "noop": ({}, same),
    "processors": ([{"mapping": text(PLUS % "p")}], append(b"p")),
    "rate_limit": ({"resource": "wide"}, same),
    "resource": ("plus", append(b"r")),
    "select_parts": ({"parts": [1, 0, 0]}, select_parts),
    "split": ({"size": 2}, split),
    "switch": ([{"check": 'content().string().contains("3")', "processors": [{"mapping": text(PLUS % "s")}]},
                {"processors": [{"unarchive": {"format": "lines"}}]}], switch),
    "try": ([{"mapping": ON_X}, {"mapping": text(PLUS % "t")}], attempt),
    "try_catch": ({"processors": [{"mapping": ON_X}], "catch": [{"mapping": text(PLUS % "k")}]}, try_catch),
    "unarchive": ({"format": "json_array"}, unarchive),
    "while": ({"check": "content().length() < 7", "processors": [{"mapping": text(PLUS % "w")}]}, loop),
}


def through(names):
    batches = [[Message(body, frozenset([n])) for n, body in enumerate(BATCH, 1)]]
    for name in names:
        batches = [list(batch) for batch in PROCESSORS[name][1](batches)]
        batches = [batch for batch in batches if batch]
    return [m for batch in batches for m in batch]


def is_known(part, remembered):
    return any(not key.kept and key.text in remembered for key in part)


def store(messages, remembered):
    """What the journal keeps of an offer: a message goes when all it was made of is known."""
    kept = []
    for m in messages:
        if all(is_known(part, remembered) for part in m.parts):
            continue
        kept.append(m)
        for part in m.parts:  # of two parts with one key the second is a duplicate of the first
            if is_known(part, remembered):
                continue
            for key in part:
                key.kept = True
                remembered.add(key.text)
    return kept


class Pair:
    def __init__(self, folder, number, names):
        self.names = names
        self.path = f"{folder}/{number}.yaml"
        resources = {"cache_resources": [{"label": f"seen{number}", "memory": {"default_ttl": "1h"}}],
                     "rate_limit_resources": [{"label": "wide", "local": {"count": 1000000, "interval": "1s"}}],
                     "processor_resources": [{"label": "plus", "mapping": text(PLUS % "r")}]}
        processors = [{name: PROCESSORS[name][0] if name != "dedupe" else
                       {**PROCESSORS[name][0], "cache": f"seen{number}"}} for name in names]
        pathlib.Path(self.path).write_text(json.dumps({
            "input": {"stdin": {}}, "buffer": {"sqlite": {"path": f"{folder}/kspool.db"}},
            "output": {"aws_kinesis": {"stream": "s", "partition_key": "k", "region": "eu-west-1"}},
            "pipeline": {"processors": processors}, **resources}))

    def request(self, what):
        return f"{what} {self.path} {' '.join(body.hex() for body in BATCH)}"


def bodies(words, what):
    at = [n for n, word in enumerate(words) if word == what]
    return [bytes.fromhex(words[n + 1].replace("-", "")) for n in at]


class Verdict:
    def __init__(self):
        self.lost = self.forged = self.altered = 0
        self.unbalanced, self.wrong = [], []

    def compare(self, what, expected, got):
        missing, extra = Counter(expected) - Counter(got), Counter(got) - Counter(expected)
        changed = min(missing.total(), extra.total())
        self.altered += changed
        self.lost += missing.total() - changed
        self.forged += extra.total() - changed
        if expected != got:
            self.wrong.append(f"{what}: expected {expected}, got {got}")

    def agree(self, what, expected, got):
        if expected != got:
            self.unbalanced.append(f"{what}: expected {expected}, got {got}")

    def lines(self):
        return [f"lost {self.lost}  forged {self.forged}  altered {self.altered}",
                f"ledger {'balanced' if not self.unbalanced else 'DOES NOT AGREE'}",
                *self.wrong[:20], *self.unbalanced[:20]]

    def is_good(self):
        return not (self.lost or self.forged or self.altered or self.unbalanced or self.wrong)


def judge_offer(verdict, pair, time, words, remembered):
    made = through(pair.names)
    vanished = set(range(1, len(BATCH) + 1)) - {n for m in made for n in m.ids}
    kept = store(made, remembered)
    name = f"{' + '.join(pair.names)} offer {time}"
    verdict.compare(name, [m.body for m in kept], bodies(words, "row"))
    filtered = len(made) - len(kept) + len(vanished)
    counts = {words[n]: int(words[n + 1]) for n in (0, 2, 4)}
    verdict.agree(name, {"accepted": len(kept) + filtered, "filtered": filtered, "dead": 0}, counts)
    return counts


def judge_flush(verdict, pair, words):
    made = through(pair.names)
    name = f"{' + '.join(pair.names)} flush"
    verdict.compare(name, [m.body for m in made], bodies(words, "message"))
    stood = [words[n + 2] for n, word in enumerate(words) if word == "message"]
    verdict.agree(name, [",".join(map(str, sorted(m.ids))) for m in made], stood)
    gone = sorted(set(range(1, len(BATCH) + 1)) - {n for m in made for n in m.ids})
    verdict.agree(name, ",".join(map(str, gone)) or "-", words[1])


def test_every_pair_of_processors_keeps_the_verdict(folder):
    pairs = [Pair(folder, number, names) for number, names in
             enumerate((first, second) for first in PROCESSORS for second in PROCESSORS)]
    assert len(PROCESSORS) == 26 and len(pairs) == 676
    requests = [(pair, what) for pair in pairs for what in ("offer", "offer", "flush")]
    requests = [(pair, what) for pair, what in requests if what == "offer" or "dedupe" not in pair.names]
    ran = subprocess.run([PROGRAM, folder], input="".join(pair.request(what) + "\n" for pair, what in requests),
                         capture_output=True, text=True, timeout=900)
    assert ran.returncode == 0, ran.stderr[-2000:]
    *answers, end = ran.stdout.splitlines()
    assert len(answers) == len(requests)
    verdict, remembered, totals = Verdict(), {}, Counter()
    for (pair, what), answer in zip(requests, answers):
        if what == "flush":
            judge_flush(verdict, pair, answer.split())
        else:
            known = remembered.setdefault(pair.path, [0, set()])
            known[0] += 1
            totals.update(judge_offer(verdict, pair, known[0], answer.split(), known[1]))
    words = end.split()
    ledger = {words[n]: int(words[n + 1]) for n in range(1, len(words), 2)}
    verdict.agree("all", {"accepted": totals["accepted"], "filtered": totals["filtered"], "dead": 0,
                          "delivered": totals["accepted"] - totals["filtered"]}, ledger)
    print("\n".join(verdict.lines()))
    assert verdict.is_good(), "\n".join(verdict.lines())
