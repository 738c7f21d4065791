"""Which unit tests reach which lines: the others cannot notice a break there, and need not be asked.

The files that are broken are compiled once more, for coverage, and linked before the rest into each test, which runs
once; what it reached is kept until its program changes. What a process that is killed reached is forgotten, so that a
break may be called a survivor that is none, but none killed that was not.
"""

import bisect
import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess

LONGEST = 300  # seconds of one test

# A process that ends without leaving main would forget what it reached.
ENDS = """
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>
void __gcov_dump(void);
static void dump(void)
{
	static int is_dumping; /* what it does to files may be what ends the process */
	if (!is_dumping) {
		is_dumping = 1;
		__gcov_dump();
		is_dumping = 0;
	}
}
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);
_Noreturn void __wrap__exit(int status) { dump(); __real__exit(status); }
int __real_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number) { if (pid == getpid()) dump(); return __real_kill(pid, number); }
_Noreturn void __real_abort(void);
_Noreturn void __wrap_abort(void);
_Noreturn void __wrap_abort(void) { dump(); __real_abort(); }
"""


class Reach:
    def __init__(self, units, files, command, scratch, jobs, keep):
        """`units`: how tests are compiled and linked. Only `files` are looked at. `command(name, program)`: how a test is run;
        keep: what is found stays for the next time."""
        self.units, self.tree, self.scratch, self.build = units, units.tree, scratch, units.tree.folder / "cover"
        self.kept = self.build / "reach" if keep else None
        shutil.rmtree(self.build / "objects", ignore_errors=True)
        (self.build / "reach").mkdir(parents=True, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            self.objects = dict(zip(files, pool.map(self._compile, files)))
            self.ends = self._compile_ends()
            names = sorted(units.names, key=units.cost, reverse=True)  # the longest first: none is waited for alone
            found = dict(zip(names, pool.map(lambda name: self._of(name, command), names)))
        self.reached, self.lines = found, collections.defaultdict(set)
        for reached in found.values():
            for file, counts in (reached or {}).items():
                self.lines[file].update(int(line) for line in counts)
        self.lines = {file: sorted(lines) for file, lines in self.lines.items()}

    def _run(self, command):
        subprocess.run(command, shell=True, cwd=self.tree.build, check=True, stdout=subprocess.DEVNULL)

    def _compile(self, file):
        made = (self.build / "objects" / file).with_suffix(".o")
        made.parent.mkdir(parents=True, exist_ok=True)
        self._run(f"{self.units.compiler_of(file)} -O0 -w --coverage -frandom-seed={file} -o {made} -c {self.tree.source / file}")
        return made

    def _compile_ends(self):
        source = self.build / "ends.c"
        source.write_text(ENDS)
        self._run(f"cc -c -o {source.with_suffix('.o')} {source}")
        return source.with_suffix(".o")

    def _link(self, name, folder):
        looked_at = [str(made) for file, made in self.objects.items() if self.units.has_in_it(name, file)]
        self._run(self.units.link_of(name, folder / name, [*looked_at, str(self.ends), "--coverage",
                                                           "-Wl,--wrap=_exit,--wrap=kill,--wrap=abort"]))
        return folder / name

    def _of(self, name, command):
        """{file below src/: {line: how often}} of what test `name` did; None: not known, so it is asked each time."""
        folder = self.scratch / f"reach-{name}"
        (folder / "tmp").mkdir(parents=True)
        program = self._link(name, folder)
        kept = self.kept and self.kept / f"{name}.{hashlib.sha256(program.read_bytes()).hexdigest()[:16]}"
        counts = json.loads(kept.read_text()) if kept and kept.exists() else self._reached(command(name, program), folder)
        shutil.rmtree(folder, ignore_errors=True)
        if kept and not kept.exists():
            for old in self.kept.glob(name + ".*"):
                old.unlink()
            kept.write_text(json.dumps(counts))
        return counts

    def _reached(self, command, folder):
        process = subprocess.Popen(command, cwd=self.tree.build, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True,
                                   env={**os.environ, "TMPDIR": str(folder / "tmp"), "GCOV_PREFIX": str(folder)})
        try:
            process.wait(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with all that it began
            process.wait()
            return None
        return self._counts(folder)

    def _counts(self, folder):
        counts = collections.defaultdict(dict)
        below = folder / str(self.build / "objects").lstrip("/")
        found = sorted(below.rglob("*.gcda"))
        for data in found:
            data.with_suffix(".gcno").symlink_to((self.build / "objects" / data.relative_to(below)).with_suffix(".gcno"))
        said = subprocess.run(["gcov", "--json-format", "--stdout", *map(str, found)], cwd=folder, capture_output=True, text=True)
        for text in said.stdout.splitlines():
            for file in json.loads(text)["files"]:
                path = pathlib.Path(self.tree.build, file["file"]).resolve()
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
