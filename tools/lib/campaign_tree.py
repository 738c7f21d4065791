"""A copy of the tree below .build, built for itself: for breaks made on purpose that must never reach the real one."""

import fcntl
import os
import pathlib
import shutil
import subprocess

KEPT = ("CMakeLists.txt", "CMakePresets.json", "LICENSE", "src", "schema", "systemd", "tests", "README.md", "tools")


class Tree:
    def __init__(self, root, name):
        """Brings the copy up to date; files that are as they were keep their time, so that little is built again. One
        process at a time: the second is refused."""
        self.root, self.folder = pathlib.Path(root), pathlib.Path(root) / ".build" / name
        self.source, self.build = self.folder / "tree", self.folder / "build"
        self.source.mkdir(parents=True, exist_ok=True)
        self.lock = open(self.folder / "lock", "w")  # noqa: SIM115 (held until this process ends)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit(f"another process works in {self.folder}; wait for its end") from None
        wanted = set()
        for top in KEPT:
            path = self.root / top
            for file in [path] if path.is_file() else path.rglob("*"):
                if file.is_file() and "__pycache__" not in file.parts:
                    wanted.add(file.relative_to(self.root))
        for old in [p for p in self.source.rglob("*") if p.is_file() and p.relative_to(self.source) not in wanted]:
            old.unlink()
        for name_below in sorted(wanted):
            self._take(name_below)

    def _take(self, below):
        ours, theirs = self.source / below, self.root / below
        if ours.exists() and ours.read_bytes() == theirs.read_bytes():
            return
        ours.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(theirs, ours)
        shutil.copymode(theirs, ours)

    def replace(self, below, old, new):
        """One text for another, exactly once; a text that is gone is an error, not a quiet pass."""
        path = self.source / below
        text = path.read_text()
        if text.count(old) != 1:
            raise SystemExit(f"{below} does not have exactly one {old!r}: the break made on purpose must follow the code")
        path.write_text(text.replace(old, new))

    def configure(self):
        launcher = ["-DCMAKE_C_COMPILER_LAUNCHER=ccache", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        self._run(["cmake", "-S", self.source, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
                   "-DCMAKE_C_FLAGS_DEBUG=-O1 -g0", "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g0", "-DKSPOOL_FAILPOINTS=ON", *launcher])

    def make(self, targets, must=True):
        return self._run(["ninja", "-C", self.build, *targets], must)

    def object_of(self, file):
        """src/ROOM/NAME.c -> the object file CMake makes of it."""
        room = str(pathlib.Path(file).parent.relative_to("src"))
        return self.build / "src/CMakeFiles" / f"kspool_{room.replace('/', '_')}.dir" / room / (pathlib.Path(file).name + ".o")

    def _run(self, command, must=True):
        environment = {**os.environ, "CCACHE_NOHASHDIR": "1", "CCACHE_BASEDIR": str(self.source)}
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)
        if must and done.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, command))}:\n{(done.stdout + done.stderr)[-3000:]}")
        return done.returncode == 0
