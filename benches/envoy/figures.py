"""From what was measured in rounds to ratios with their intervals."""
import random
import statistics
from collections import Counter

RESAMPLED = 1000  # times, for an interval of 95 %


def percentile(histogram, share):
    """The latency (µs) below which this share of answers lies."""
    wanted, seen = share * sum(histogram.values()), 0
    for took in sorted(histogram):
        seen += histogram[took]
        if seen >= wanted:
            return took
    return float("nan")


def pooled(histograms):
    total = Counter()
    for histogram in histograms:
        total.update(histogram)
    return total


def interval(of_rounds, rounds):
    """The bootstrap's 95 % interval of a figure that is computed from rounds: rounds are drawn again with replacement."""
    source = random.Random(15)
    drawn = sorted(of_rounds([source.randrange(rounds) for _ in range(rounds)]) for _ in range(RESAMPLED))
    return drawn[RESAMPLED * 25 // 1000], drawn[RESAMPLED * 975 // 1000]


def numbers(ours, theirs):
    """Ratio of two lists of numbers, one of each round: the median of the ratios within a round."""
    ratios = [our / their for our, their in zip(ours, theirs)]
    return statistics.median(ratios), interval(lambda rounds: statistics.median(ratios[n] for n in rounds), len(ratios))


def latencies(ours, theirs, share):
    """Ratio of two lists of histograms, at this percentile of all rounds together."""
    def ratio(rounds):
        return percentile(pooled(ours[n] for n in rounds), share) / percentile(pooled(theirs[n] for n in rounds), share)
    return ratio(range(len(ours))), interval(ratio, len(ours))


class Figures:
    """What was measured of each side in one situation: a list by rounds for each figure."""

    def __init__(self, sides):
        self.of = {side: {} for side in sides}

    def note(self, side, what, value):
        self.of[side].setdefault(what, []).append(value)

    def rows(self):
        """Name, text of each side, ratios of the last side to each of the others with their intervals."""
        *yardsticks, ours = self.of.values()
        for what, values in ours.items():
            others = [figures[what] for figures in yardsticks]
            if not isinstance(values[0], Counter):
                shown = [f"{statistics.median(side):,.1f}" for side in [*others, values]]
                yield what, shown, [numbers(values, other) for other in others]
                continue
            for name, share in (("p50", 0.5), ("p99", 0.99)):
                shown = [f"{percentile(pooled(side), share):,.0f}" for side in [*others, values]]
                samples = min(sum(pooled(side).values()) for side in [*others, values])
                yield f"{name} (µs)", shown, [latencies(values, other, share) for other in others]
            yield "samples behind p50 and p99, at least", [f"{samples:,}"] * len(shown), []


def table(situation, figures, counts):
    """One situation as Markdown. `counts`: side → {name: per check}, without ratios."""
    sides = list(figures.of)
    heads = [f"÷ {side} [95 %]" for side in sides[:-1]]
    lines = [f"\n### {situation}\n", "| | " + " | ".join([*sides, *heads]) + " |", "|---" * (1 + len(sides) + len(heads)) + "|"]
    for what, shown, ratios in figures.rows():
        cells = [f"{middle:.2f} [{low:.2f}, {high:.2f}]" for middle, (low, high) in ratios]
        lines.append("| " + " | ".join([what, *shown, *cells, *[""] * (len(heads) - len(cells))]) + " |")
    for what in dict.fromkeys(name for of in counts.values() for name in of):
        shown = [f"{counts[side].get(what, 0):.2f}" if side in counts else "" for side in sides]
        lines.append("| " + " | ".join([f"{what} per check", *shown, *[""] * len(heads)]) + " |")
    return "\n".join(lines)
