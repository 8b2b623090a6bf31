"""The worked numbers of docs/QUESTIONS.md, exact, by enumeration. Run as a program it prints them; the test holds the page to them."""
import math
import pathlib
from fractions import Fraction as F
from itertools import permutations

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/QUESTIONS.md"
SEEN = [F(1), F(1, 2)]  # how likely a click is in the lower slot, of what it is on top


def slates(weights, k):
    """Every slate of k with its probability, drawn without replacement by weight (Plackett-Luce)."""
    for slate in permutations(weights, k):
        p, left = F(1), sum(weights.values())
        for arm in slate:
            p, left = p * weights[arm] / left, left - weights[arm]
        yield slate, p


def per_item():
    slate_n, decisions, rate = math.perm(20, 3), 100_000, 0.05
    for name, n in (("whole slates", slate_n), ("items, slot by slot", 20)):
        matches = decisions / n
        yield f"{name}: one of {n}, {matches:.0f} matches, standard error {math.sqrt(rate * (1 - rate) / matches):.4f}"


def positions():
    weights = {"A": F(7, 10), "B": F(2, 10), "C": F(1, 10)}
    drawn = list(slates(weights, 2))
    for arm in weights:
        at = [sum(p for s, p in drawn if s[l] == arm) for l in range(2)]
        clicks = F(5, 100) * sum(at[l] * SEEN[l] for l in range(2))
        top = sum(p / weights[arm] * F(5, 100) for s, p in drawn if s[0] == arm)
        yield (f"{arm}: shown on top {float(at[0]):.3f}, below {float(at[1]):.3f}; clicks per tile {float(clicks / sum(at)):.4f}, "
               f"shuffled {0.05 * float(sum(SEEN)) / 2:.4f}, on top by propensity {float(top):.4f}")


def cost():
    weights, rates = {"A": F(7, 10), "B": F(2, 10), "C": F(1, 10)}, {"A": F(10, 100), "B": F(6, 100), "C": F(4, 100)}
    drawn = sum(p * sum(rates[s[l]] * SEEN[l] for l in range(2)) for s, p in slates(weights, 2))
    shuffled = sum(p * sum(rates[a] for a in s) * sum(SEEN) / 2 for s, p in slates(weights, 2))
    yield f"clicks per 100 slates: as drawn {float(100 * drawn):.2f}, shuffled {float(100 * shuffled):.2f} ({float(100 * (shuffled / drawn - 1)):.1f} %)"


def who_sees_it():
    rates = {"new": {"A": F(2, 100), "B": F(4, 100)}, "active": {"A": F(10, 100), "B": F(12, 100)}}
    shows = {"new": {"A": F(2, 10), "B": F(8, 10)}, "active": {"A": F(9, 10), "B": F(1, 10)}}
    for arm in ("A", "B"):
        shown = sum(shows[u][arm] for u in shows)
        naive = sum(shows[u][arm] * rates[u][arm] for u in shows) / shown
        weighed = sum(shows[u][arm] * rates[u][arm] / shows[u][arm] for u in shows) / 2
        yield f"{arm}: clicks per tile {float(100 * naive):.2f} %, weighed by 1 / propensity {float(100 * weighed):.2f} %"


def batch():
    weights = {"A": F(7, 10), "B": F(2, 10), "C": F(1, 10)}
    left = {arm: w / (1 - weights["A"]) for arm, w in weights.items() if arm != "A"}
    yield "A masked when it is rendered: " + ", ".join(f"{arm} {float(p):.4f}" for arm, p in left.items())
    yield f"2,000 users, 5 renderings each, rate 5 %: standard error {math.sqrt(.05 * .95 / 2000):.5f} by draws, {math.sqrt(.05 * .95 / 10000):.5f} by renderings"
    web, app = {"A": F(10, 100), "B": F(6, 100)}, {"A": F(4, 100), "B": F(9, 100)}
    without, with_device = max((web[a] + app[a]) / 2 for a in web), (max(web.values()) + max(app.values())) / 2
    yield f"device not known: {float(100 * without):.1f} %, known: {float(100 * with_device):.1f} %"


QUESTIONS = (per_item, positions, cost, who_sees_it, batch)


def test_the_page_says_these_numbers():
    blocks = PAGE.read_text(encoding="utf-8").split("```")[1::2]
    said = [line for block in blocks for line in block.strip().splitlines()]
    assert said == [line for question in QUESTIONS for line in question()]


if __name__ == "__main__":
    for each in QUESTIONS:
        print("\n".join(each()), end="\n\n")
