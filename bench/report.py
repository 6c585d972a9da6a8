#!/usr/bin/env python3
"""Makes bench/results.json, bench/RESULTS.md and bench/plots/*.svg of what the benchmarks wrote.

    bench/report.py --folder bench --commit 1a2b3c4 --date 2026-01-31 [--quick] FILE.json...

Each FILE is the --json of one benchmark, or {"benchmark": NAME, "failed": WHY}. A benchmark that has no tables of
its own here is shown with every list of figures in its file. Needs nothing but Python. Exits with 2 on wrong
arguments and with 1, in one line, on a file that is none.
"""
import argparse
import html
import json
import os
import re
import statistics
import sys

# -- what is shown: (title, where in the file, columns); a column: (header, key, format) ------------------------

TABLES = {
    "wire": [
        ("One transfer after the other", "rows", [
            ("bytes", "bytes", "{:,}"), ("what", "what", "{}"), ("MB/s", "mb_per_second", "{:,.0f}"),
            ("of raw TCP", "of_raw_tcp", "{:.2f}"), ("p50 us", "p50_us", "{:,.0f}"), ("p99 us", "p99_us", "{:,.0f}"),
            ("count", "count", "{:,}")]),
        ("Streams of 1 MiB blocks, and requests of 64 bytes meanwhile", "streams", [
            ("path", "path", "{}"), ("way", "way", "{}"), ("MB/s", "mb_per_second", "{:,.0f}"),
            ("of raw TCP", "of_raw_tcp", "{:.2f}"),
            ("over one connection", "of_raw_tcp_over_one_connection", "{:.2f}"),
            ("request p50 us", "request_p50_us", "{:,.0f}"),
            ("p99 us", "request_p99_us", "{:,.0f}"), ("count", "requests", "{:,}"),
            ("MB above idle, peer stopped", "above_idle_when_stopped_mb", "{:.1f}")]),
    ],
    "compute": [
        ("A training step on one core", "results", [
            ("model", "model", "{}"), ("batch", "batch", "{}"), ("samples/s", "samples_per_second", "{:,.0f}"),
            ("step p50 us", "step.p50_us", "{:,.1f}"), ("p99 us", "step.p99_us", "{:,.1f}"),
            ("count", "step.count", "{:,}"), ("products, of the gradient", "products_of_gradient", "{:.2f}"),
            ("products, of the step", "products_of_step", "{:.2f}"), ("products, of the peak", "products_of_peak", "{:.2f}")]),
        ("Times the rate of PyTorch", "results[model,batch].peers", [
            ("model", "model", "{}"), ("batch", "batch", "{}"), ("beside", "name", "{}"),
            ("times its rate", "times_its_rate", "{:.2f}")]),
    ],
    "hogwild": [
        ("Threads on one array", "results", [
            ("model", "model", "{}"), ("one thread, samples/s", "one", "{:,.0f}"),
            ("all threads", "threads", "{:,.0f}"), ("times one", "ratio", "{:.2f}"),
            ("limit: an array each", "limit", "{:.2f}"), ("application p50 us", "apply.p50_us", "{:,.1f}"),
            ("p99 us", "apply.p99_us", "{:,.1f}"), ("count", "apply.count", "{:,}")]),
    ],
    "replication": [
        ("Pushes, two in flight", "pushes", [
            ("bytes", "bytes", "{:,}"), ("replicas", "replicas", "{}"), ("MB/s", "mb_per_second", "{:,.0f}"),
            ("p50 us", "p50_us", "{:,.0f}"), ("p99 us", "p99_us", "{:,.0f}"), ("count", "count", "{:,}"),
            ("of one replica", "of_one_replica", "{:.2f}"),
            ("by the busiest process", "of_one_replica_by_busiest_process", "{:.2f}")]),
        ("troupe train, two workers", "jobs", [
            ("job", "job", "{}"), ("replicas", "replicas", "{}"), ("samples/s", "samples_per_second", "{:,.0f}"),
            ("of one replica", "of_one_replica", "{:.2f}")]),
    ],
    "recording": [
        ("What --record costs", "", [
            ("an event, ns", "ns_of_event", "{:.1f}"), ("limit: clock and 64 bytes, ns", "ns_at_least", "{:.1f}"),
            ("samples/s without", "samples_per_second", "{:,.0f}"), ("with", "samples_per_second_recorded", "{:,.0f}"),
            ("of without", "rate_ratio", "{:.3f}"), ("processor time, of without", "processor_time_ratio", "{:.3f}"),
            ("events' share of a batch's processor time", "events_of_processor_time", "{:.4f}"), ("pairs", "pairs", "{}")]),
    ],
    "train": [
        ("Whole jobs", "models[model].contenders", [
            ("model", "model", "{}"), ("", "name", "{}"), ("steady samples/s", "steady", "{:,.0f}"),
            ("of limit", "of_limit", "{:.2f}"), ("whole job, samples/s", "whole", "{:,.0f}"),
            ("seconds to accuracy", "seconds_to_accuracy", "{:.2f}"), ("reached in", "reached_accuracy", "{}"),
            ("rounds", "rounds", "{}"), ("accuracy %", "held_out_accuracy", "{:.2f}"),
            ("processor us a sample", "processor_us_per_sample", "{:.1f}"), ("rules judged", "rules_judged", "{:,}")]),
        ("Limit: threads that compute gradients and nothing else", "models[model].limits", [
            ("model", "model", "{}"), ("threads", "threads", "{}"), ("samples/s", "samples_per_second", "{:,.0f}")]),
        ("Exactness: integer gradients end in their one right sum, and no rule is broken", "exactness", [
            ("configuration", "configuration", "{}"), ("batches", "batches", "{:,}"), ("rules judged", "judged", "{:,}")]),
    ],
    "scale": [
        ("A batch, all workers in one process", "one_process.cluster", [
            ("workers", "workers", "{:,}"), ("processor us a batch", "cpu_us_per_batch", "{:,.0f}"),
            ("of it the scheduler actor's", "scheduler_us_per_batch", "{:.1f}"),
            ("batches/s", "batches_per_second", "{:,.0f}"), ("processor ms to start", "start_cpu_ms", "{:,.0f}"),
            ("resident bytes", "resident_bytes", "{:,.0f}"), ("batches", "batches", "{:,}")]),
        ("Limit: as many messages between bare CAF actors", "one_process.bare_caf", [
            ("workers", "workers", "{:,}"), ("messages a batch", "messages_per_batch", "{:,}"),
            ("processor us a batch", "cpu_us_per_batch", "{:,.0f}"), ("batches", "batches", "{:,}")]),
        ("Leases of a scheduler with its journal on disk", "leases.scheduler", [
            ("workers", "workers", "{:,}"), ("leases/s", "leases_per_second", "{:,.0f}"),
            ("processor us a lease", "scheduler_us_per_lease", "{:.2f}"), ("p50 us", "latency_us.p50", "{:,.0f}"),
            ("p99 us", "latency_us.p99", "{:,.0f}"), ("count", "latency_us.count", "{:,}")]),
        ("Limit: an actor that decides nothing in its place", "leases.bare", [
            ("workers", "workers", "{:,}"), ("leases/s", "leases_per_second", "{:,.0f}"),
            ("p50 us", "latency_us.p50", "{:,.0f}"), ("p99 us", "latency_us.p99", "{:,.0f}"),
            ("count", "latency_us.count", "{:,}")]),
        ("Simulated nodes", "simulated", [
            ("nodes", "nodes", "{:,}"), ("workers", "workers", "{:,}"), ("batches", "batches", "{:,}"),
            ("messages a batch", "messages_per_batch", "{:,.1f}"),
            ("of them the scheduler's", "scheduler_messages_per_batch", "{:.2f}"),
            ("processor us a batch", "cpu_us_per_batch", "{:,.0f}")]),
    ],
}

# (file, title, benchmark, where, keys of the label, key of the value, line drawn at)
PLOTS = [
    ("wire.svg", "Streams of 1 MiB blocks, of raw TCP", "wire", "streams", ("path", "way"), "of_raw_tcp", 1),
    ("compute.svg", "A training step, times PyTorch", "compute", "results[model,batch].peers",
     ("model", "batch", "name"), "times_its_rate", 1),
    ("hogwild.svg", "Two threads on one array, times one", "hogwild", "results", ("model",), "ratio", 2),
    ("replication.svg", "Pushes to two replicas, of the rate of one", "replication", "pushes", ("bytes",), "of_one_replica", 1),
    ("train.svg", "Whole jobs, steady samples/s", "train", "models[model].contenders", ("model", "name"), "steady", None),
]


# -- looking into the files -------------------------------------------------------------------------------------


def at(row, key):
    """The value at a.b.c, or None."""
    for part in key.split("."):
        row = row.get(part) if isinstance(row, dict) else None
    return row


def rows_of(figures, where):
    """The list at `where`; a[k].b is the lists b of all of a, each row with the k of its a. "" is the whole file."""
    if not where:
        return [figures]
    first, _, rest = where.partition(".")
    name, _, kept = first.rstrip("]").partition("[")
    rows = [row for row in figures.get(name) or [] if isinstance(row, dict)]
    if not rest:
        return rows
    names = kept.split(",") if kept else []
    return [{**{n: row.get(n) for n in names}, **inner} for row in rows for inner in rows_of(row, rest)]


def is_spread(value):
    return isinstance(value, dict) and {"median", "least", "most"} <= value.keys()


def middle(value):
    return value["median"] if is_spread(value) else value


def shown(value, form="{}"):
    if value is None:
        return ""
    if is_spread(value):
        middle, least, most = (shown(value[key], form) for key in ("median", "least", "most"))
        return middle if value["least"] == value["most"] else f"{middle} ({least} to {most})"
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    if isinstance(value, float) and form == "{}":
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return form.format(value)


def table(columns, rows):
    columns = [c for c in columns if any(at(row, c[1]) is not None for row in rows)]
    if not columns:
        return []
    lines = ["| " + " | ".join(c[0] for c in columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [shown(at(row, key), form).replace("|", "\\|") for _, key, form in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return lines + [""]


def unknown_tables(figures):
    """Every list of rows of a benchmark that has no entry above."""
    for key, value in figures.items():
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            names = list(dict.fromkeys(name for row in value for name in row))
            yield key.replace("_", " "), key, [(name.replace("_", " "), name, "{}") for name in names]


# -- what was aimed for -----------------------------------------------------------------------------------------


def shown_aim(aim):
    return f"{aim:,}" if isinstance(aim, int) else f"{aim:.2f}".rstrip("0") if aim < 1 else f"{aim}"


def aims(benchmarks):
    """(what, aim, found) of everything that has an aim."""
    for figures in benchmarks:
        name = figures["benchmark"]
        if name == "wire":
            for row in rows_of(figures, "streams"):
                aim = {"messages": 0.6, "bulk": 0.9, "shared memory": 1.5}.get(row.get("path"))
                if aim and row.get("of_raw_tcp") is not None:
                    yield f"wire: {row['path']}, {row['way']}, of raw TCP", aim, row["of_raw_tcp"]
                    late = row["request_p99_us"] / 1000
                    yield f"wire: {row['path']}, {row['way']}, 1 ms over a request's p99", 1, 1 / late
        if name == "compute" and figures.get("precision", "fp32") == "fp32":
            wanted = {("784-512-512-10", 64): 1.5, ("784-512-512-10", 256): 1.25, ("784-64-10", 64): 2.5}
            for row in rows_of(figures, "results[model,batch].peers"):
                if aim := wanted.get((row["model"], row["batch"])):
                    yield f"compute: {row['model']}, {row['batch']}, times {row['name']}", aim, row["times_its_rate"]
            for row in rows_of(figures, "results"):
                if (row["model"], row["batch"]) in wanted:
                    yield f"compute: {row['model']}, {row['batch']}, products of the step", 0.85, row["products_of_step"]
        if name == "compute" and figures.get("precision") == "bf16":
            for row in rows_of(figures, "results[model,batch].peers"):
                if (row["model"], row["batch"]) == ("784-1024-1024-10", 256):
                    yield f"compute in bf16: {row['model']}, {row['batch']}, times {row['name']}", 4, row["times_its_rate"]
        if name == "hogwild":
            for row in rows_of(figures, "results"):
                yield f"hogwild: {row['model']}, {figures['threads']} threads, times one", 1.85, row["ratio"]
        if name == "replication":
            for row in rows_of(figures, "jobs"):
                if row.get("of_one_replica"):
                    yield f"replication: {row['job']}, {row['replicas']} replicas, of one", 0.8, row["of_one_replica"]
        if name == "scale":
            yield from aims_of_scale(figures)
        if name == "recording":
            yield "recording: samples/s with --record, of those without", 0.97, figures.get("rate_ratio")
        if name == "train":
            for row in rows_of(figures, "models[model].ratios"):
                yield f"train: {row['model']}, {row['of']}, times {row['by']}", row["aim"], row["ratio"]


def aims_of_scale(figures):
    """Flat: what the most cost is at most 1.3 of what the fewest do."""
    def median_of(rounds, key):
        return statistics.median(r[key] for r in rounds)

    flat = 1 / 1.3
    leases = figures.get("leases", [])
    for size in leases:
        yield f"scale: {size['workers']:,} workers, leases/s", 50_000, median_of(size["scheduler"], "leases_per_second")
    sizes = figures.get("one_process", [])
    if leases:
        fewest, most = (median_of(leases[i]["scheduler"], "scheduler_us_per_lease") for i in (0, -1))
        yield "scale: processor time of a lease, fewest workers by most", flat, fewest / most
    if sizes:
        for key, what in (("scheduler_us_per_batch", "the scheduler's part of a batch"), ("cpu_us_per_batch", "processor time of a batch")):
            fewest, most = (median_of(sizes[i]["cluster"], key) for i in (0, -1))
            yield f"scale: {what}, fewest workers by most", flat, fewest / most
    nodes = figures.get("simulated", [])
    if nodes:
        yield "scale: messages of a batch, fewest nodes by most", flat, nodes[0]["messages_per_batch"] / nodes[-1]["messages_per_batch"]


# -- SVG --------------------------------------------------------------------------------------------------------


def bars(title, entries, line):
    """Horizontal bars: entries are (label, value or spread); `line`: where a vertical line is drawn, or None."""
    left, width, step = 330, 420, 22
    most = max([line or 0] + [v["most"] if is_spread(v) else v for _, v in entries]) or 1
    height = 60 + step * len(entries)
    x = lambda value: left + width * value / most
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 120}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="22" font-size="15">{html.escape(title)}</text>',
    ]
    for i, (label, value) in enumerate(entries):
        y = 40 + step * i
        out.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{html.escape(label)}</text>')
        out.append(f'<rect x="{left}" y="{y}" width="{x(middle(value)) - left:.1f}" height="{step - 6}" fill="#4878a8"/>')
        end = middle(value)
        if is_spread(value):
            end = value["most"]
            out.append(f'<line x1="{x(value["least"]):.1f}" y1="{y + 8}" x2="{x(end):.1f}" y2="{y + 8}" stroke="black"/>')
        text = f"{middle(value):,.0f}" if most >= 100 else f"{middle(value):.2f}"
        out.append(f'<text x="{x(end) + 6:.1f}" y="{y + 13}">{text}</text>')
    if line is not None:
        out.append(f'<line x1="{x(line):.1f}" y1="34" x2="{x(line):.1f}" y2="{height - 20}" stroke="#b03030" stroke-dasharray="4 3"/>')
    return "\n".join(out + ["</svg>", ""])


# -- the report -------------------------------------------------------------------------------------------------


def report(results, plots):
    benchmarks = results["benchmarks"]
    machine = next((b for b in benchmarks if "processor" in b), {})
    lines = ["# Results of the benchmarks", ""]
    how = "`bench/run.sh --quick`: few and short rounds" if results["quick"] else "`bench/run.sh`"
    lines += [
        f"{machine.get('processor', 'unknown processor')}, {machine.get('cores', '?')} cores; {results['date']}; commit "
        f"{results['commit']}; {how}.",
        "",
        "Figures are medians of rounds, in brackets their range; ratios are of one run. Each table stands below its command, with",
        "the load that the machine had before. Everything is in [results.json](results.json); what it means is in",
        "[docs/performance.md](../docs/performance.md). Written by [report.py](report.py).",
        "",
    ]
    failed = [b for b in benchmarks if "failed" in b]
    for b in failed:
        lines += [f"**{b['benchmark']} failed**: {b['failed']}", ""]
    found = [(what, aim, value) for what, aim, value in aims([b for b in benchmarks if "failed" not in b]) if value is not None]
    if found:
        lines += ["## What was aimed for", "", "| | aim | found | |", "|---|---|---|---|"]
        for what, aim, value in found:
            lines.append(f"| {what} | {shown_aim(aim)} | {shown(value, '{:.2f}')} | {'' if middle(value) >= aim else 'does not hold'} |")
        lines.append("")
    for b in benchmarks:
        if "failed" in b:
            continue
        name = b["benchmark"]
        title = name + (f", {b['precision']}" if b.get("precision") else "")
        lines += [f"## {title}", "", f"`{b.get('command', '')}`, load {b.get('load_before', 0):.1f} before", ""]
        for heading, where, columns in TABLES.get(name) or unknown_tables(b):
            rows = rows_of(b, where)
            if rows:
                lines += [f"{heading}:", ""] + table(columns, rows)
        lines += [f"![{name}](plots/{file})" for file in plots if file == f"{name}.svg" and title in (name, f"{name}, fp32")]
        if lines[-1]:
            lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def plots_of(benchmarks):
    """File name to SVG; a benchmark that was run several times is drawn as it was first."""
    drawn = {}
    for file, title, name, where, labels, key, line in PLOTS:
        of = next((b for b in benchmarks if b["benchmark"] == name and "failed" not in b), None)
        rows = [row for row in rows_of(of, where) if at(row, key) is not None] if of else []
        if rows:
            label = lambda row: ", ".join(str(row[k]) for k in labels if row.get(k) is not None)
            drawn[file] = bars(title, [(label(row), at(row, key)) for row in rows], line)
    return drawn


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            figures = json.load(file)
    except (OSError, ValueError) as wrong:
        sys.exit(f"report.py: {path}: {wrong}")
    if not isinstance(figures, dict) or "benchmark" not in figures:
        sys.exit(f"report.py: {path}: expected the figures of a benchmark, found none")
    if "command" in figures:  # where its file lay for a moment tells nothing
        figures["command"] = re.sub(r" --json \S+", "", figures["command"])
    return figures


def main():
    parser = argparse.ArgumentParser(prog="report.py", description="Results of the benchmarks as tables and plots.", allow_abbrev=False)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--commit", required=True)
    parser.add_argument("--date", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("files", nargs="+", metavar="FILE")
    a = parser.parse_args()
    results = {"date": a.date, "commit": a.commit, "quick": a.quick, "benchmarks": [read(f) for f in a.files]}
    plots = plots_of(results["benchmarks"])
    os.makedirs(os.path.join(a.folder, "plots"), exist_ok=True)
    texts = {"results.json": json.dumps(results, indent=1) + "\n", "RESULTS.md": report(results, plots)}
    texts.update({os.path.join("plots", file): svg for file, svg in plots.items()})
    for file, text in texts.items():
        with open(os.path.join(a.folder, file), "w", encoding="utf-8") as out:
            out.write(text)


if __name__ == "__main__":
    main()
