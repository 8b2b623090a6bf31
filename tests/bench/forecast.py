#!/usr/bin/env python3
"""The forecast of rewards to come, in the simulated world: docs/forecast.svg and the table of docs/FORECAST.md, from bench_forecast.

    forecast.py [BUILD] [--participants N] [--seed N] [--svg FILE]      BUILD: build/release; the table goes to standard output
"""
import argparse
import csv
import pathlib
import subprocess
import tempfile

HOME = pathlib.Path(__file__).resolve().parents[2]
NAMES = {"forecast": ("#1b6ca8", "forecast, taken back as rewards come"), "zero": ("#c0392b", "what is missing counts as zero"),
         "wait": ("#7f8c8d", "wait until an impression has settled")}
WIDTH, HEIGHT, LEFT, TOP, PLOT = 760, 330, 60, 30, 240


def rows_of(build, participants, seed):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([build / "bench/bench_forecast", build / "bin/aftertouch", folder, str(participants), str(seed)], capture_output=True,
                              text=True, check=True)
    return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(done.stdout.splitlines())]


def polyline(rows, column, color, top, days):
    points = " ".join(f"{LEFT + (WIDTH - LEFT - 20) * r['day'] / days:.1f},{TOP + PLOT * (1 - min(r[column], top) / top):.1f}" for r in rows)
    return f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{points}"/>'


def plot(rows, path):
    days, top = max(r["day"] for r in rows), 1.5
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="18">distance from the model that has seen everything settle (1: as far as knowing nothing but the mean)</text>']
    for i in range(4):
        y = TOP + PLOT * (1 - i * 0.5 / top)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/><text x="{LEFT - 30}" y="{y + 4:.1f}">{i * 0.5:.1f}</text>')
    for day in range(0, int(days) + 1, 20):
        x = LEFT + (WIDTH - LEFT - 20) * day / days
        out.append(f'<text x="{x - 8:.1f}" y="{TOP + PLOT + 18}">{day}</text>')
    out.append(f'<text x="{WIDTH / 2 - 10}" y="{TOP + PLOT + 34}">days</text>')
    for k, (name, (color, label)) in enumerate(NAMES.items()):
        out.append(polyline(rows, f"error {name}", color, top, days))
        out.append(f'<rect x="{LEFT + 230 * k}" y="{HEIGHT - 18}" width="14" height="4" fill="{color}"/>'
                   f'<text x="{LEFT + 230 * k + 20}" y="{HEIGHT - 12}">{label}</text>')
    path.write_text("\n".join(out) + "\n</svg>\n")


def table(rows):
    print("| day | error: forecast | zero | wait | mean: forecast | zero | wait |\n|---|---|---|---|---|---|---|")
    for r in rows:
        if r["day"] % 10 == 0 or r is rows[-1]:
            day = "end" if r is rows[-1] else f"{r['day']:.0f}"
            print(f"| {day} | " + " | ".join(f"{r[f'{what} {name}']:.3f}" for what in ("error", "mean") for name in NAMES) + " |")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build", nargs="?", type=pathlib.Path, default=HOME / "build/release")
    p.add_argument("--participants", type=int, default=1500)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--svg", type=pathlib.Path, default=HOME / "docs/forecast.svg")
    a = p.parse_args()
    rows = rows_of(a.build.resolve(), a.participants, a.seed)
    plot([r for r in rows[:-1] if r["day"] >= 6], a.svg)  # before, all are far off the scale
    table(rows)


if __name__ == "__main__":
    main()
