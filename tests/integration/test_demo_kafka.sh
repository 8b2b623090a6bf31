#!/usr/bin/env bash
# The demo over a real broker: two processes, every outcome with one fate, everything settled, the service stops cleanly, and the
# engine decided with snapshots that it had followed. Environment: AFT_KAFKA, AFT_BIN (see run).
set -euo pipefail
: "${AFT_KAFKA:?host:port of a broker}" "${AFT_BIN:?the program}"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

"$AFT_BIN" demo --kafka "$AFT_KAFKA" --seconds 12 --seed 7 --json --dir "$out/kept" >"$out/result.json"
cat "$out/result.json"
python3 - "$out/result.json" <<'CHECK'
import json, sys

r = json.load(open(sys.argv[1]))
assert r["conserved"], r["fates"]
assert sum(r["fates"].values()) + r["counts"]["waiting"] == r["outcomes"], r["fates"]
assert r["fates"]["credited"] > 0.8 * r["outcomes"], r["fates"]
assert r["impressions"] == sum(p["decisions"] for p in r["policies"].values())
assert r["snapshots"] >= 2 and r["rounds"] >= 2, "the service published too little"
assert all(p["examples"] > 0 for p in r["partitions"])
assert r["uplift"] is not None
CHECK
[ -s "$out/kept/aftertouch.conf" ] && [ -d "$out/kept/state" ]
