"""The guidelines once more, for the tests only: a predicate for each category, in fractions.

Written from her2.md §1, §3.9 and §6 without the ordered tables: each category says for itself, of
shares as exact fractions and of cells at whole micrometres, when it is meant, so that two mistakes
would have to agree to go unseen.
"""

from dataclasses import dataclass
from fractions import Fraction

TENTH = Fraction(1, 10)
HUNDREDTH = Fraction(1, 100)
REACH_UM = 20
NO_ANSWER = "not assessable"


@dataclass(frozen=True)
class Floor:
    """How many cells a method can tell from chance: §1.5's, until a limit of blank is measured."""

    share: Fraction = HUNDREDTH
    cells: int = 5

    def passed(self, cells, n):
        return not (cells < self.cells or Fraction(cells, n) < self.share)


class Breast:
    """ASCO-CAP 2018/2023 with 0 split into 0 and 0+; `gap` answers what the guideline leaves open.

    cells: {class name: number}, missing ones are none.
    """

    def __init__(self, cells, gap, floor=Floor()):
        self.n = sum(cells.values())
        self.gap = gap
        self.floor = floor
        intense_complete = cells.get("IC", 0)
        complete = intense_complete + cells.get("MC", 0) + cells.get("WC", 0)
        strong = complete + cells.get("MP", 0) + cells.get("IP", 0)
        self.intense_complete, self.complete, self.strong = intense_complete, complete, strong
        self.stained = self.n - cells.get("N", 0)

    def more_than_a_tenth(self, cells):
        return Fraction(cells, self.n) > TENTH

    def certain(self, cells):
        return self.floor.passed(cells, self.n)

    def is_3(self):
        return self.more_than_a_tenth(self.intense_complete)

    def is_2(self):
        few_intense = self.certain(self.intense_complete) and not self.is_3()
        many_complete = self.more_than_a_tenth(self.complete)
        many_incomplete = self.more_than_a_tenth(self.strong)
        unnamed = self.gap == "2+" and self.certain(self.strong)
        return not self.is_3() and (few_intense or many_complete or many_incomplete or unnamed)

    def is_1(self):
        higher = self.is_3() or self.is_2()
        unnamed = self.gap == "1+" and self.certain(self.strong)
        return not higher and (self.more_than_a_tenth(self.stained) or unnamed)

    def is_0_plus(self):
        few = self.certain(self.stained) and not self.more_than_a_tenth(self.stained)
        certain_strong = self.certain(self.strong)
        named = few and not certain_strong
        unnamed = few and certain_strong and self.gap == "0+"
        return (named or unnamed) and not (self.is_3() or self.is_2())

    def is_0(self):
        return not self.certain(self.stained) and not self.more_than_a_tenth(self.stained)

    def says(self):
        return [
            score
            for score, meant in (
                ("0", self.is_0()),
                ("0+", self.is_0_plus()),
                ("1+", self.is_1()),
                ("2+", self.is_2()),
                ("3+", self.is_3()),
            )
            if meant
        ]


def gastric_resection(cells):
    """HercepTest, resection: 10 % itself counts; basolateral or lateral is as good as complete."""
    n = sum(cells.values())
    faint = cells.get("FP", 0) + cells.get("FC", 0)
    strong = cells.get("IP", 0) + cells.get("IC", 0)
    middle = n - cells.get("N", 0) - faint - strong

    def share(number):
        return Fraction(number, n)

    meant = {
        "3+": share(strong) >= TENTH,
        "2+": share(strong) < TENTH <= share(strong + middle),
        "1+": share(strong + middle) < TENTH <= share(strong + middle + faint),
        "0": share(strong + middle + faint) < TENTH,
    }
    return [score for score, holds in meant.items() if holds]


def gastric_biopsy(cells):
    """HercepTest, biopsy: no percentage; five cells that hang together, each at least so stained.

    cells: (class name, x, y) each, whole µm. Two hang together within 20 µm, and over others.
    """
    strong = [(x, y) for name, x, y in cells if name in {"IP", "IC"}]
    middle = [(x, y) for name, x, y in cells if name in {"WP", "WC", "MP", "MC"}]
    faint = [(x, y) for name, x, y in cells if name in {"FP", "FC"}]
    is_3 = largest_island(strong) >= 5
    is_2 = not is_3 and largest_island(strong + middle) >= 5
    meant = {
        "3+": is_3,
        "2+": is_2,
        "1+": not is_3 and not is_2 and largest_island(strong + middle + faint) >= 5,
        "0": largest_island(strong + middle + faint) < 5,
    }
    return [score for score, holds in meant.items() if holds]


def largest_island(places):
    """How many places the largest island has; from one step to the next it is 20 µm at most."""
    unseen, largest = list(places), 0
    while unseen:
        shore, size = [unseen.pop()], 0
        while shore:
            x, y = shore.pop()
            size += 1
            near = [p for p in unseen if (p[0] - x) ** 2 + (p[1] - y) ** 2 <= REACH_UM**2]
            for place in near:
                unseen.remove(place)
            shore += near
        largest = max(largest, size)
    return largest


def answered(score, n, flags, *, breast):
    """What is printed of a category: §1.5 row 0 and §3.9 take it away for whatever it would be."""
    stopped = {"no_tumour_region", "mpp_missing", "fluorescence", "colour", "control_failed"}
    if n < 100 or stopped & set(flags):
        return NO_ANSWER
    low = {"0", "0+", "1+"} if breast else {"0", "1+"}
    return NO_ANSWER if "resolution" in flags and score in low else score


def raises_a_question(cells, floor, *, breast):
    """Whether there is staining that the method can't tell from chance.

    Of any kind in the breast, if it is not more than a tenth (§1.5 row 8); everywhere of intense
    complete cells, since a category hangs on them (§6 (4)).
    """
    n = sum(cells.values())
    stained, intense = n - cells.get("N", 0), cells.get("IC", 0)
    a_little = breast and Fraction(stained, n) <= TENTH and not floor.passed(stained, n)
    return (stained > 0 and a_little) or (intense > 0 and not floor.passed(intense, n))
