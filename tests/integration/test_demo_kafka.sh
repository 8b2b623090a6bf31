#!/usr/bin/env bash
# The demo over a real broker: two processes, every outcome with one fate, everything settled, the service stops cleanly, and the
# engine decided with snapshots that it had followed. What the demo made on the broker goes with it, unless --dir keeps it. Environment: AFT_KAFKA, AFT_BIN (see run).
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
topics() { # of demos, as the broker has them
    "${AFT_PYTHON:-python3}" - "$AFT_KAFKA" <<'LIST'
import sys, confluent_kafka.admin
there = confluent_kafka.admin.AdminClient({"bootstrap.servers": sys.argv[1]}).list_topics(timeout=60).topics
print("\n".join(sorted(t for t in there if t.startswith("aftertouch-demo-"))))
LIST
}
before=$(topics)
[ "$(wc -l <<<"$before")" -eq 8 ] || { echo "--dir keeps the topics, eight: $before"; exit 1; }
"$AFT_BIN" demo --kafka "$AFT_KAFKA" --seconds 2 --seed 8 --json >"$out/again.json"
for ((i = 0; i < 60; i++)); do # a broker forgets a deleted topic a moment later
    [ "$(topics)" != "$before" ] || break
    sleep 1
done
[ "$(topics)" = "$before" ] || { echo "topics of a demo without --dir are left: $(topics)"; exit 1; }
[ -s "$out/kept/aftertouch.conf" ] && [ -d "$out/kept/state" ]
