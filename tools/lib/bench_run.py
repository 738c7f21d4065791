"""The six groups of tools/bench and their table. Each figure stands beside its target and a rival's figure; rivals
that are not run here are quoted, marked with q: measured once on another two-core machine of this kind, 1 M x 1 KiB."""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from bench_actors import LINE_BYTES, Bench, status, wait_status, wrk

ROOT = pathlib.Path(__file__).resolve().parents[2]
MIB = 1 << 20
QUOTED = {
    "rate": "q: Fluent Bit tuned, synced 110 k/s; as shipped 45 k/s; rsyslog synced 3.8 k/s",
    "cpu": "q: Fluent Bit 9 to 12.5 tuned, 15 to 17 as shipped; rsyslog synced 151",
    "rss": "q: Fluent Bit 441 to 462 MB tuned, synced; 82 to 122 MB as shipped",
    "throttled": "q: Fluent Bit 82 % delivered with 125 % duplicates at 0.1 %; stops at 17 % at 1 %",
    "backlog": "q: the nearest peer by design drains 2,195 rows/s from 1,000 rows, 110 rows/s from 20,000",
    "wire": "q: Fluent Bit 1.53 both ways, JSON", "disk": "q: Fluent Bit 1.0 to 1.15, unsynced by default",
}


class Table:
    def __init__(self):
        self.rows = ["| group | case | measured | target | met | rival |", "|---|---|---|---|---|---|"]

    def add(self, group, case, measured, target="", met=None, rival=""):
        mark = "" if met is None else "yes" if met else "NO"
        self.rows.append(f"| {group} | {case} | {measured} | {target} | {mark} | {rival} |")
        print(self.rows[-1], flush=True)


def group_1(bench, table, scale):
    """The journal alone beside a bare SQLite loop that does the same inserts and deletes in the same group sizes."""
    for group in (64, 512):
        arguments = [bench.journal, int(400_000 * scale), LINE_BYTES, group]
        shown = subprocess.run([str(a) for a in arguments], cwd=bench.folder, capture_output=True, text=True,
                               timeout=900, check=True).stdout.splitlines()
        for line in shown[1:-1]:
            table.add(1, shown[0], " ".join(line.split()))
        store, thread = map(float, re.findall(r"[\d.]+", shown[-1]))
        table.add(1, shown[0], f"{store:.2f} of bare SQLite; {thread:.2f} with its thread and lanes", ">= 0.7",
                  store >= 0.7, "bare SQLite, in this run")
    group_1_wear(bench, table, scale)


WEAR = (  # case, rows, arguments of bench_journal behind them, whose figure, most bytes written per body byte
    ("512 a commit, keeping up, auto", 400_000, (LINE_BYTES, 512, 4096, 5000, "auto"), "journal", 1.25),
    ("512 a commit, keeping up, always", 400_000, (LINE_BYTES, 512, 4096, 5000, "always"), "journal", 0.6),
    ("100,000 behind, never", 400_000, (LINE_BYTES, 512, 4096, 100_000, "never"), "journal", 2.2),
    ("100,000 behind, auto", 400_000, (LINE_BYTES, 512, 4096, 100_000, "auto"), "journal", 0.8),
    ("64 a commit", 400_000, (LINE_BYTES, 64, 4096, 5000, "auto"), "store", 1.6),
    ("one every 10 ms", 400, (LINE_BYTES, 1, 4096, 100, "auto", 10_000), "journal", 9),
    ("one every 10 ms, commit_window 20 ms", 400, (LINE_BYTES, 1, 4096, 100, "auto", 10_000, 20_000), "journal", 3),
)


def journal_figures(bench, rows, arguments, folder=None):
    """What bench_journal prints: bytes written per body byte by name, CPU of the journal's thread, size of a backlog."""
    environment = {**os.environ, **({"TMPDIR": folder} if folder else {})}
    shown = subprocess.run([str(a) for a in (bench.journal, rows, *arguments)], cwd=bench.folder, capture_output=True,
                           text=True, timeout=900, check=True, env=environment).stdout
    wear = {name: float(value) for name, value in re.findall(r"^(\w+) .* ([\d.]+) bytes written", shown, re.M)}
    waits = re.search(r"^all of it waits: ([\d.]+)", shown, re.M)
    return wear, float(re.search(r"thread: ([\d.]+) CPU", shown).group(1)), waits and float(waits.group(1))


def group_1_wear(bench, table, scale):
    """Bytes written per body byte, beside SQLite with one row a message that does the same."""
    for case, rows, arguments, whose, most in WEAR:
        wear, cpu, _ = journal_figures(bench, int(rows * scale) or 1, arguments)
        table.add(1, f"disk, {case}", f"{wear[whose]:.2f} bytes written per body byte", f"<= {most}", wear[whose] <= most,
                  f"one row a message, in this run: {wear['bare']:.2f}")
        if case == WEAR[0][0]:  # the target is for the whole way, in group 2: these bodies are harder to pack
            table.add(1, f"CPU of the journal's thread, {case}", f"{cpu:.2f} s per million of 1 KiB")
    # An outage with single messages: as fast as they go, in memory, for only the size of the file matters.
    rows = int(200_000 * scale)
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    _, _, file_bytes = journal_figures(bench, rows, (500, 1, 4096, rows, "auto"), folder)
    table.add(1, f"disk, {rows:,} x 500 B one a commit, none delivered", f"{file_bytes:.2f} bytes of file per body byte",
              "<= 0.5", file_bytes <= 0.5)


def file_run(bench, lines, count, tls=True, latency_ms=0, permille=0, own=None):
    """The whole way of `count` lines through the file door. Returns (rate, cost of the daemon, sink summary)."""
    sink = bench.start_sink(tls, latency_ms, permille)
    config, spool = bench.config({"file": {"paths": [str(lines)]}}, sink.endpoint, own=own)
    daemon = bench.start_kspool(config)
    cost = daemon.end()
    summary = bench.stop_sink(sink)
    if daemon.popen.returncode != 0 or summary["unique"] != count:
        raise RuntimeError(f"exit {daemon.popen.returncode}, {summary['unique']} of {count}: {bench.log_of(config)}")
    shutil.rmtree(spool.parent)
    return count / ((summary["last_ns"] - daemon.began_ns) / 1e9), cost, summary


def group_2(bench, table, scale):
    count = int(1_000_000 * scale)
    lines = bench.lines(count, LINE_BYTES)
    for latency in (0, 50):
        clean = None
        for permille in (0, 1, 10):
            rate, cost, summary = file_run(bench, lines, count, latency_ms=latency, permille=permille)
            case = f"{count:,} x 1 KiB, TLS, {latency} ms" + (f", {permille / 10} % throttled" if permille else "")
            table.add(2, case, f"{rate:,.0f} messages/s", ">= 150,000" if not permille else "within 15 % of clean",
                      rate >= 150_000 if not permille else rate >= 0.85 * clean,
                      QUOTED["throttled" if permille else "rate"])
            clean = rate if not permille else clean
            million = count / 1e6
            table.add(2, case, f"{cost.cpu / million:.1f} CPU-s/M (user {cost.user / million:.1f}; "
                      f"endpoint {summary['cost'].cpu / million:.1f})", "<= 7", cost.cpu / million <= 7, QUOTED["cpu"])
            table.add(2, case, f"{cost.journal / million:.2f} CPU-s/M of the journal's thread", "<= 1.5",
                      cost.journal / million <= 1.5)
            table.add(2, case, f"{cost.rss / MIB:.0f} MiB resident", "<= 64", cost.rss <= 64 * MIB, QUOTED["rss"])
            table.add(2, case, f"{summary['duplicates']} duplicates", "0", summary["duplicates"] == 0)


def group_3(bench, table, scale):
    count, size = int(10_000_000 * scale), 200
    lines = bench.lines(count, size)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"https://127.0.0.1:{closed.getsockname()[1]}"
        config, spool = bench.config({"file": {"paths": [str(lines)]}}, nowhere)
        daemon = bench.start_kspool(config)
        began = time.monotonic()
        wait_status(spool, lambda s: s["ledger"]["accepted"] >= count, 1800)
        table.add(3, f"{count:,} x {size} B in, offline", f"{count / (time.monotonic() - began):,.0f} messages/s")
        taken = daemon.end(signal.SIGTERM)
    sink = bench.start_sink()
    config, _ = bench.config({"http_server": {"address": "127.0.0.1:0"}}, sink.endpoint, spool=spool)
    daemon = bench.start_kspool(config)
    while wait_status(spool, lambda s: True, 60)["ledger"]["pending"] > 0:
        daemon.look()
        time.sleep(0.1)
    drained, files = time.monotonic(), (spool, pathlib.Path(f"{spool}-wal"))
    while sum(f.stat().st_size for f in files) > MIB and time.monotonic() - drained < 60:
        time.sleep(0.1)
    idle, left = time.monotonic() - drained, sum(f.stat().st_size for f in files)
    cost = daemon.end(signal.SIGTERM)
    summary = bench.stop_sink(sink)
    first = (summary["first_ns"] - daemon.began_ns) / 1e9
    part = min(1_000_000, count // 4)
    head, tail = rate_of(summary["timeline"], part), rate_of(summary["timeline"][::-1], part)
    case = f"backlog of {count:,} x {size} B"
    table.add(3, case, f"{first:.2f} s from start to first delivery", "< 2 s", first < 2)
    table.add(3, case, f"first {part:,}: {head:,.0f}/s, last: {tail:,.0f}/s", "+-20 %",
              0.8 <= tail / head <= 1.25, QUOTED["backlog"])
    table.add(3, case, f"{cost.rss / MIB:.0f} MiB resident", "<= 64", cost.rss <= 64 * MIB)
    wear = (taken.disk + cost.disk) / (count * size)
    table.add(3, case, f"{wear:.2f} bytes written per payload byte, taken in and drained", "<= 0.8", wear <= 0.8)
    table.add(3, f"{case}, drained, then idle", f"{left / MIB:.2f} MiB of database and log after {idle:.0f} s",
              "<= 1 after 30", left <= MIB and idle <= 30)
    table.add(3, case, f"{summary['unique']:,} delivered, {summary['duplicates']} duplicates", f"{count:,}, 0",
              (summary["unique"], summary["duplicates"]) == (count, 0))
    shutil.rmtree(spool.parent)
    lines.unlink()


def rate_of(timeline, count):
    """Messages per second over the first `count` of a timeline of 100 ms buckets; a partial first bucket is left out."""
    total = buckets = 0
    for accepted in timeline[1:]:
        total, buckets = total + accepted, buckets + 1
        if total >= count:
            break
    return total / (buckets * 0.1) if buckets else 0.0


def group_4(bench, table, scale):
    script = bench.folder / "post.lua"
    script.write_text('wrk.method = "POST"\nwrk.body = \'{"seq":1,"text":"\' .. string.rep("x", 1000) .. \'"}\'\n')
    seconds = max(2, int(10 * scale))
    for connections in (1, 64, 512):
        sink = bench.start_sink(verify=False)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        config, spool = bench.config({"http_server": {"address": address}}, sink.endpoint)
        daemon = bench.start_kspool(config)
        wait_status(spool, lambda s: True, 10)
        rate, p50, p99, errors = wrk(address, connections, seconds, script)
        accepted = status(spool)["ledger"]["accepted"]
        cost = daemon.end(signal.SIGTERM)
        bench.stop_sink(sink)
        table.add(4, f"http door, 1 KiB a POST, {connections} connections",
                  f"{rate:,.0f} accepted/s; yes after p50 {p50:.2f} ms, p99 {p99:.2f} ms; {errors or 'no errors'}; "
                  f"{cost.cpu / max(1, accepted) * 1e6:.1f} CPU-s/M; {cost.rss / MIB:.0f} MiB", "no errors", not errors,
                  "q: Fluent Bit answers before any sync")


def group_5(bench, table, scale):
    count = int(1_000_000 * scale / 4)
    lines = bench.lines(count, LINE_BYTES)
    for wire in ("json", "cbor"):
        rate, cost, summary = file_run(bench, lines, count, own={"wire": wire})
        payload = count * LINE_BYTES
        table.add(5, f"{wire}, wire", f"{summary['bytes_in'] / payload:.3f} out, {summary['bytes_out'] / payload:.3f} "
                  "back, bytes per payload byte", rival=QUOTED["wire"])
        table.add(5, f"{wire}, disk", f"{cost.disk / payload:.2f} bytes written per payload byte ({rate:,.0f}/s)",
                  rival=QUOTED["disk"])


def group_6(bench, table, scale):
    """Bloblang, on one core, by a program that does nothing else."""
    figures = json.loads(subprocess.run([str(bench.bloblang)], capture_output=True, text=True, timeout=300,
                                        check=True).stdout)
    rival = "no rival here: the reference is not installed"
    table.add(6, "key ${! json(\"device_id\") } over 1 KiB, beyond a constant key", f"{figures['key_extra_ns']:,.0f} ns",
              "<= 1,000 ns", figures["key_extra_ns"] <= 1000, rival)
    table.add(6, "a path into a 10 KiB document", f"{figures['path_gb_s']:.2f} GB/s of document", ">= 1",
              figures["path_gb_s"] >= 1, rival)
    table.add(6, "a ten-line mapping", f"{figures['mapping_per_s']:,.0f} messages/s", ">= 300,000",
              figures["mapping_per_s"] >= 300_000, rival)


GROUPS = {1: group_1, 2: group_2, 3: group_3, 4: group_4, 5: group_5, 6: group_6}


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return f"{os.cpu_count()} x {model}, Linux {os.uname().release}, load {os.getloadavg()[0]:.1f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kspool", required=True)
    parser.add_argument("--sink", required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--bloblang", required=True)
    parser.add_argument("--group", type=int, action="append", choices=sorted(GROUPS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--folder", help="where input and spool live (default: a new folder below TMPDIR)")
    options = parser.parse_args()
    folder = options.folder or tempfile.mkdtemp(prefix="ks-bench-")
    bench, table = Bench(folder, options.kspool, options.sink), Table()
    bench.journal = pathlib.Path(options.journal).resolve()
    bench.bloblang = pathlib.Path(options.bloblang).resolve()
    print(f"{machine()}; {'QUICK, ' if options.quick else ''}{time.strftime('%Y-%m-%d')}\n")
    failed = False
    try:
        for number in options.group or sorted(GROUPS):
            try:
                GROUPS[number](bench, table, 0.05 if options.quick else 1.0)
            except (RuntimeError, TimeoutError, subprocess.SubprocessError) as error:
                failed = True
                table.add(number, "did not finish", str(error).replace("\n", " ")[:300], "", False)
    finally:
        bench.close()
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    result = ROOT / ".build" / "bench.md"
    result.write_text(machine() + "\n\n" + "\n".join(table.rows) + "\n")
    print(f"\nthe table is in {result}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
