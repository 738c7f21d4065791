"""The scoreboard as the table of README: rows of one number together."""

HARM = {
    1: "kill -9: under load, and at the n-th file operation of first start, start, load, recovery, setting aside, repair, export, import",
    2: "power cut, recorded writes (drop, reorder, tear)", 3: "power cut, real ext4 and xfs",
    4: "a second cut, or kill, during recovery, setting aside, repair", 5: "kspool without one safeguard, each in its turn: the row of that safeguard must see it",
    6: "the n-th operation of each path fails once", 7: "the sync of a checkpoint fails",
    8: "syncs, reads, everything fail for good from the n-th", 9: "disk full: by intake, by a neighbour, at start",
    10: "no room from the n-th write on, each path", 11: "the file system dies under load",
    12: "the n-th allocation gets nothing, once and from then on", 13: "descriptors run out",
    14: "bits of the header and anywhere; pages exchanged, overwritten, stale", 15: "one bit of the log",
    16: "files cut, emptied, gone, foreign, rolled back; at rest and while running", 17: "companions overwritten",
    18: "two daemons, one spool", 19: "a spool copied, with and without its log",
    20: "the answer is lost after all was stored", 21: "a kept connection is cut, before and after the request was stored",
    22: "the answer is cut at every byte", 23: "any part of a batch fails", 24: "a throttle storm", 25: "a poisoned message",
    26: "half-open connections; an endpoint that moves", 27: "names that do not resolve, or hang", 28: "TLS wrong in every way",
    29: "keys expire, the metadata service misbehaves",
    31: "requests that can be understood in two ways; slow clients by the hundred",
    32: "a noisy neighbour; people without a right; another's files in place of the spool's", 33: "everything at once, for a while",
    30: "the clock jumps: idle, while messages wait, over a restart",
    34: "a spool of schema 1 is migrated: killed, twice, failing at the n-th operation; a newer one is refused",
}


def table(counts):
    numbers = {}
    for count in counts:
        numbers.setdefault(int(count.row.split(".")[0]), []).append(count)
    lines = ["| row | harm | tried | lost | forged | altered | unexplained | verdict |", "|---|---|---|---|---|---|---|---|"]
    for number, some in sorted(numbers.items()):
        sums = " | ".join(f"{sum(getattr(count, field) for count in some):,}"
                          for field in ("tried", "lost", "forged", "altered", "unexplained"))
        bad = [count.row for count in some if not count.skipped and not count.good()]
        skipped = [f"{count.row} skipped: {count.skipped}" for count in some if count.skipped]
        words = ["BAD: " + ", ".join(bad)] if bad else ["seen" if some[0].expects else "good"] * (len(skipped) < len(some))
        lines.append(f"| {number} | {HARM.get(number, some[0].subject)} | {sums} | {'; '.join(words + skipped)} |")
    return "\n".join(lines)
