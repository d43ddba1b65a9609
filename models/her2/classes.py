"""The nine classes of a tumour cell and the five scores of a slide: words that all of HER2 shares.

Class = intensity of the membrane staining × whether it goes all round. The index of a class in
CLASSES is what `Cells.label` stores (uint8) and the column it has in every table of counts.
"""

from types import MappingProxyType

CLASSES = ("N", "FP", "FC", "WP", "WC", "MP", "MC", "IP", "IC")
INTENSITIES = ("none", "faint", "weak", "moderate", "intense")
SCORES = ("0", "0+", "1+", "2+", "3+")
NOT_ASSESSABLE = "not assessable"

# index in INTENSITIES of each class, and whether its membrane is complete
INTENSITY_OF = (0, 1, 1, 2, 2, 3, 3, 4, 4)
COMPLETE = (False, False, True, False, True, False, True, False, True)
STAINED = CLASSES[1:]

INDEX = MappingProxyType({name: column for column, name in enumerate(CLASSES)})

# the groups every report prints (her2.md §1.5); a protocol may group the classes otherwise
GROUPS = MappingProxyType(
    {
        "intense_complete": ("IC",),
        "weak_moderate_complete": ("WC", "MC"),
        "moderate_intense_incomplete": ("MP", "IP"),
        "faint": ("FP", "FC", "WP"),
        "stained": STAINED,
    }
)
