"""The guidelines once more, for the tests only: a predicate for each category, in fractions.

Written from her2.md §1 without the ordered table: each category says for itself, of shares as
exact fractions, when it is meant, so that two mistakes would have to agree to go unseen.
"""

from fractions import Fraction

TENTH = Fraction(1, 10)
HUNDREDTH = Fraction(1, 100)


class Breast:
    """ASCO-CAP 2018/2023 with 0 split into 0 and 0+; `gap` answers what the guideline leaves open.

    cells: {class name: number}, missing ones are none.
    """

    def __init__(self, cells, gap):
        self.n = sum(cells.values())
        self.gap = gap
        intense_complete = cells.get("IC", 0)
        complete = intense_complete + cells.get("MC", 0) + cells.get("WC", 0)
        strong = complete + cells.get("MP", 0) + cells.get("IP", 0)
        self.intense_complete, self.complete, self.strong = intense_complete, complete, strong
        self.stained = self.n - cells.get("N", 0)

    def more_than_a_tenth(self, cells):
        return Fraction(cells, self.n) > TENTH

    def certain(self, cells):
        return cells > 4 and Fraction(cells, self.n) >= HUNDREDTH

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
        return not self.certain(self.stained)

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
