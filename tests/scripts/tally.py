"""Counts test results over the logs of several runs of `meson test`.

usage: tally.py [--skipped N] [--started TIME] [--budget MINUTES] LOGS
                [BROKEN...]

LOGS is a file with the names of meson's logs in JSON, one a line; each BROKEN
is a stage that came to no tests and counts as one failure; N is how many
stages were skipped, each of which counts as one; TIME, in seconds since 1970,
is when all began, and MINUTES is how long it should take. A program that speaks
TAP counts by its tests; one that crashed, hung or exited with an error
of its own counts as one failure more. Ends with the ten slowest programs, how
long all took, what failed and the last that it said, and the counts. Exits with
1 unless something passed and nothing failed.

SPDX-License-Identifier: LGPL-2.1-or-later
"""

import argparse
import collections
import json
import pathlib
import re
import sys
import time

TAP = re.compile(r"^\s*(not )?ok\b[^#\n]*(?:# *(SKIP|TODO))?", re.M | re.I)
SKIP_ALL = re.compile(r"^1\.\.0\b", re.M)
GOOD = ("OK", "SKIP", "EXPECTEDFAIL")
FAILURE_LINES = 12


def count(test):
    """Counts of one program, from its entry in the log."""
    counts = collections.Counter()
    output = test.get("stdout") or ""
    for failed, directive in TAP.findall(output):
        if directive.upper() == "SKIP":
            counts["skipped"] += 1
        elif failed and directive.upper() != "TODO":
            counts["failed"] += 1
        else:
            counts["passed"] += 1
    good = test["result"] in GOOD
    if not good and not counts["failed"]:
        counts["failed"] += 1
    elif good and not counts:
        skipped = test["result"] == "SKIP" or SKIP_ALL.search(output)
        counts["skipped" if skipped else "passed"] += 1
    return counts


def line(counts):
    text = f"{counts['passed']} passed, {counts['failed']} failed"
    if counts["skipped"]:
        text += f", {counts['skipped']} skipped"
    return text


def end_of(text, lines):
    return text.strip().splitlines()[-lines:]


def failure(test):
    """What a program that failed has to say, without the tests that passed: a
    reader may have the end of the whole output only."""
    output = [text for text in (test.get("stdout") or "").splitlines()
              if not re.match(r"\s*ok\b", text)]
    failed = [text for text in output if re.match(r"\s*not ok\b", text)]
    return (failed[:FAILURE_LINES] + end_of("\n".join(output), FAILURE_LINES) +
            end_of(test.get("stderr") or "", FAILURE_LINES))


def say_failures(failures):
    """failures: (stage, entry of the log)"""
    for where, test in failures:
        print(f"FAILED  {where}: {test['name'].split(' / ')[-1]} "
              f"({test['result']}, {test['duration']:.1f} s)")
        for text in failure(test):
            print(f"    {text}")


def stage(log):
    """A log's build and kind: gcc, all"""
    return f"{log.parent.parent.name}, {log.stem.split('-')[0]}"


def say_slowest(times, n):
    """times: (seconds, stage, program)"""
    if times:
        print("The slowest:")
    for seconds, where, name in sorted(times, reverse=True)[:n]:
        print(f"{seconds:7.1f} s  {where}: {name}")


def say_time(started, budget):
    minutes = (time.time() - started) / 60
    if budget and minutes > budget:
        print(f"WARNING: it took {minutes:.0f} minutes, more than the {budget} "
              "for two free cores; the slowest tests are above.")
    else:
        limit = f" of {budget}" if budget else ""
        print(f"It took {minutes:.0f}{limit} minutes.")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--skipped", type=int, default=0)
    parser.add_argument("--started", type=int)
    parser.add_argument("--budget", type=int, default=0)
    parser.add_argument("logs", type=pathlib.Path)
    parser.add_argument("broken", nargs="*")
    options = parser.parse_args()
    logs = options.logs.read_text().splitlines()
    total = collections.Counter(
        failed=len(options.broken), skipped=options.skipped)
    times, failures = [], []
    for log in map(pathlib.Path, logs):
        counts = collections.Counter()
        if log.is_file():
            for entry in log.read_text().splitlines():
                test = json.loads(entry)
                of_test = count(test)
                counts += of_test
                if of_test["failed"]:
                    failures.append((stage(log), test))
                times.append((test["duration"], stage(log),
                              test["name"].split(" / ")[-1]))
        if not counts:
            counts["failed"] = 1  # a run without a test proves nothing
        if len(logs) > 1:
            print(f"{stage(log)}: {line(counts)}")
        total += counts
    say_slowest(times, 10)
    if options.started:
        say_time(options.started, options.budget)
    say_failures(failures)
    print(line(total))
    sys.exit(total["failed"] > 0 or total["passed"] == 0)


main()
