"""How a report says what the score document codes: names, colours, remarks in plain words.

Keys are the codes of the document's schema "membrana.her2/2"; a code that is new here is printed
with its underscores as spaces.
"""

from collections.abc import Mapping

EXCLUDED = "Excluded"
COLOURS: Mapping[str, str] = {
    "N": "#aebccb",
    "FP": "#f7e6ae",
    "FC": "#e8c647",
    "WP": "#f5bd85",
    "WC": "#e2872a",
    "MP": "#e39478",
    "MC": "#c44a25",
    "IP": "#b57272",
    "IC": "#741010",
    EXCLUDED: "#5f6b77",
}
"""Of classes: warmer with intensity, paler where the membrane is partial."""
SCORE_COLOURS: Mapping[str, str] = {
    "0": "#7f95ac",
    "0+": "#cfcfa0",
    "1+": "#efcf5e",
    "2+": "#e07f26",
    "3+": "#851414",
    "not assessable": "#5f6b77",
}
DARK_SCORES = {"3+", "not assessable"}
"""On whose colours letters are white."""
REGION_COLOURS: Mapping[str, str] = {
    "tumour": "#0b5cad",
    "exclude": "#333333",
    "artefact": "#8a6d00",
}
GROUPS: Mapping[str, str] = {
    "intense_complete": "Intense, complete",
    "weak_moderate_complete": "Weak to moderate, complete",
    "moderate_intense_incomplete": "Moderate to intense, incomplete",
    "faint": "Faint or weak, incomplete",
    "intense": "Intense, complete or lateral",
    "weak_moderate": "Weak to moderate, complete or lateral",
    "stained": "Any membrane staining",
}
TESTS: Mapping[str, str] = {
    "intense_complete_gt10": "Intense, complete",
    "weak_moderate_complete_gt10": "Weak to intense, complete",
    "moderate_intense_incomplete_gt10": "The same, or moderate to intense and incomplete",
    "intense_complete_le10": "Intense, complete: more than chance",
    "faint_incomplete_gt10": "Any membrane staining",
    "gap_pattern": "Complete, or moderate to intense: more than chance",
    "faint_incomplete_le10": "Any membrane staining: more than chance",
    "intense_ge10": "Intense, complete or lateral",
    "weak_moderate_ge10": "Weak to intense, complete or lateral",
    "faint_ge10": "Any membrane staining",
    "intense_cluster": "Intense, in clusters",
    "weak_moderate_cluster": "Weak to intense, in clusters",
    "faint_cluster": "Any membrane staining, in clusters",
}
FLAGS: Mapping[str, str] = {
    "no_tumour_region": "No tumour region",
    "mpp_missing": "Pixel size unknown",
    "fluorescence": "Fluorescence image",
    "colour": "Not the colours of haematoxylin and DAB",
    "control_failed": "Control tissue failed",
    "too_few_cells": "Too few cells",
    "resolution": "Resolution too coarse for low categories",
    "whole_as_tumour": "Every nucleus counted as tumour",
    "below_detection_limit": "Staining below the detection limit",
    "intense_below_detection": "Intense cells: too few to tell from chance",
    "gap_pattern": "Pattern the guideline does not name",
    "borderline": "Borderline",
    "uncalibrated": "Uncalibrated",
    "calibration_detector": "Calibrated with another nucleus detector",
    "cells_100_500": "Few cells",
    "tiles_lt_30": "Few fields",
    "not_contiguous": "Intense cells are scattered",
    "clustered_heterogeneity": "Clustered heterogeneity",
    "intense_below_cut": "Intense cells below the cut",
    "control_missing": "Controls not stated",
    "antibody_missing": "Antibody not stated",
    "out_of_focus": "Parts out of focus",
    "stain_residual": "Colour that is neither stain",
    "white_point": "Background is not white",
    "cytoplasm": "Brown cytoplasm",
    "cytoplasm_obscures": "Cytoplasm hides membranes",
    "nuclear_brown": "Brown nuclei",
    "edge_effect": "Other staining at the edge",
    "nuclei_density": "Unusual number of nuclei",
    "mask_uncertain": "Membranes uncertain",
    "thresholds_changed": "What-if: thresholds changed",
}
THRESHOLDS: Mapping[str, str] = {
    "t_faint": "Faint from (log10 OD)",
    "t_weak": "Weak from",
    "t_moderate": "Moderate from",
    "t_intense": "Intense from",
    "c_any": "Stained from (share of the membrane)",
    "c_full": "Complete from",
    "cut": "Percentage cut",
    "floor_percent": "Detection floor, %",
    "floor_cells": "Detection floor, cells",
    "min_cells": "Fewest cells",
}
MEANINGS: Mapping[str, str] = {
    "author": "I scored this slide and am responsible for this category.",
    "reviewer": "I reviewed this report and agree with its category.",
    "approver": "I approve this report for release within the research project.",
}

ROLES: Mapping[str, str] = {
    "pathologist": "pathologist",
    "admin": "administrator",
    "viewer": "viewer",
}
SEVERITIES: Mapping[str, str] = {
    "fatal": "no category",
    "limiting": "limits the category",
    "warning": "",
}
REGIONS: Mapping[str, str] = {
    "tumour": "tumour",
    "exclude": "left out",
    "artefact": "artefact, left out",
}
WITHOUT_REVIEW = (
    "Signed without a review in Membrana: nobody had reviewed a patch or decided on a cell of this "
    "report, and the signer confirmed that."
)


def plain(code: str, words: Mapping[str, str]) -> str:
    """Return the words of a code; a code without words is its own."""
    return words.get(code) or code.replace("_", " ").capitalize()
