"""Work in parts side by side: processes that take what they do from one list, one after the other, so that none has the
longer part. KSPOOL_TEST_QUEUE names a file, empty at first, that says how many were taken."""

import fcntl
import os

QUEUE = os.environ.get("KSPOOL_TEST_QUEUE")


def claimed(items):
    """Those that no other part has; all of them where nobody else works. The one behind each is taken with it: (item, next)."""
    if not QUEUE:
        return zip(items, [*items[1:], None])
    return _pairs(items)


def _pairs(items):
    item = _claim(items)
    while item is not None:
        following = _claim(items)
        yield item, following
        item = following


def _claim(items):
    with open(QUEUE, "r+", encoding="ascii") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        number = int(queue.read() or 0)
        queue.seek(0)
        queue.write(str(number + 1))
    return items[number] if number < len(items) else None
