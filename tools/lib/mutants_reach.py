"""Which unit tests reach which lines: the others cannot notice a break there, and need not be asked.

The sources of tools/mutants once more, built for coverage beside them; each test runs once, and what it reached is kept
until its program changes. What a process that is killed reached is forgotten, so that a break may be called a survivor
that is none, but none killed that was not.
"""

import bisect
import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shutil
import subprocess

LONGEST = 300  # seconds of one test

# A process that ends without leaving main would forget what it reached.
ENDS = """
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>
void __gcov_dump(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);
_Noreturn void __wrap__exit(int status) { __gcov_dump(); __real__exit(status); }
int __real_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number) { if (pid == getpid()) __gcov_dump(); return __real_kill(pid, number); }
_Noreturn void __real_abort(void);
_Noreturn void __wrap_abort(void);
_Noreturn void __wrap_abort(void) { __gcov_dump(); __real_abort(); }
"""


class Reach:
    def __init__(self, tree, names, command, scratch, jobs):
        """`command(name, program)`: how a test is run."""
        self.tree, self.build, self.scratch = tree, tree.folder / "cover", scratch
        self._make(names)
        self.kept = self.build / "reach"
        self.kept.mkdir(exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            found = dict(zip(names, pool.map(lambda name: self._of(name, command), names)))
        self.reached, self.lines = found, collections.defaultdict(set)
        for files in found.values():
            for file, counts in (files or {}).items():
                self.lines[file].update(int(line) for line in counts)
        self.lines = {file: sorted(lines) for file, lines in self.lines.items()}

    def _make(self, names):
        ends = self.tree.folder / "ends.c"
        self.build.mkdir(exist_ok=True)
        ends.write_text(ENDS)
        made = self.tree.folder / "ends.o"
        subprocess.run(["cc", "-c", "-o", made, ends], check=True)
        flags = f"--coverage {made} -Wl,--wrap=_exit,--wrap=kill,--wrap=abort"
        subprocess.run(["cmake", "-S", self.tree.source, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
                        "-DCMAKE_C_FLAGS_DEBUG=-O0 -g0", "-DCMAKE_CXX_FLAGS_DEBUG=-O0 -g0", "-DKSPOOL_FAILPOINTS=ON",
                        "-DKSPOOL_COVER=ON", f"-DCMAKE_EXE_LINKER_FLAGS={flags}"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["ninja", "-C", self.build, *names], check=True, stdout=subprocess.DEVNULL)

    def _of(self, name, command):
        """{file below src/: {line: how often}} of what test `name` did."""
        program = self.build / "tests" / name
        kept = self.kept / f"{name}.{hashlib.sha256(program.read_bytes()).hexdigest()[:16]}"
        if kept.exists():
            return json.loads(kept.read_text())
        folder = self.scratch / f"reach-{name}"
        (folder / "tmp").mkdir(parents=True)
        try:
            subprocess.run(command(name, program), cwd=self.build, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=LONGEST,
                           env={**os.environ, "TMPDIR": str(folder / "tmp"), "GCOV_PREFIX": str(folder)})
        except subprocess.TimeoutExpired:
            return None  # what it reaches is not known: it is asked each time
        counts = self._counts(folder)
        shutil.rmtree(folder, ignore_errors=True)
        for old in self.kept.glob(name + ".*"):
            old.unlink()
        kept.write_text(json.dumps(counts))
        return counts

    def _counts(self, folder):
        counts = collections.defaultdict(dict)
        below = folder / str(self.build).lstrip("/") / "src"
        for data in below.rglob("*.gcda"):
            notes = self.build / "src" / data.relative_to(below).with_suffix(".gcno")
            (data.with_suffix(".gcno")).symlink_to(notes)
            said = subprocess.run(["gcov", "--json-format", "--stdout", str(data)], cwd=folder, capture_output=True, text=True)
            for text in said.stdout.splitlines():
                for file in json.loads(text)["files"]:
                    path = pathlib.Path(self.build, file["file"]).resolve()
                    if path.suffix == ".c" and path.is_relative_to(self.tree.source):
                        mine = counts[str(path.relative_to(self.tree.source))]
                        for line in file["lines"]:
                            number = str(line["line_number"])
                            mine[number] = mine.get(number, 0) + line["count"]
        return counts

    def reaches(self, name, file, line):
        """How often. A line without code of its own belongs to the last one above that has some."""
        lines, reached = self.lines.get(file, []), self.reached[name]
        at = bisect.bisect_right(lines, line)
        if reached is None:
            return 1
        return reached.get(file, {}).get(str(lines[at - 1]), 0) if at else 0
