"""What a report says, in the words and numbers that PDF and HTML lay out alike."""

from typing import Any

from backend.exchange.reports import evidence, provenance, words
from backend.exchange.reports.quantities import day
from backend.her2.classes import CLASS_NAMES
from backend.her2.reports.content import Content, Signature
from backend.kit.product import PRODUCT, RESEARCH_USE_ONLY


def printed(content: Content) -> dict[str, Any]:
    """Return every text of the report, ready to be laid out; figures are made apart."""
    document = content.document
    return {
        "research_use_only": RESEARCH_USE_ONLY,
        "product": PRODUCT,
        "urn": content.urn,
        "title": "HER2 immunohistochemistry: image analysis report",
        "case": content.case,
        "block": content.block if "name" in content.slide else "",
        "dated": day(content.dated),
        "version": content.version,
        "status": status(content),
        "signed": content.signature is not None,
        "computed": {
            "score": document["printed_score"],
            "colour": words.SCORE_COLOURS[document["score"]],
            "reason": evidence.reason(document),
        },
        "final": final(content.signature),
        "signature": list(provenance.signature_rows(content.signature))
        if content.signature
        else [],
        "facts": list(provenance.facts(content)),
        "ish": evidence.ish(content),
        "probability_note": evidence.probability_note(document),
        "interval_note": evidence.interval_note(document),
        "classes": list(evidence.class_rows(document)),
        "groups": list(evidence.group_rows(document)),
        "tests": list(evidence.test_rows(document)),
        "stopping": evidence.stopping(document),
        "flags": list(evidence.flag_rows(document)),
        "secondary": list(evidence.secondary(document)),
        "heterogeneity": list(evidence.heterogeneity(document)),
        "regions": list(evidence.region_rows(document)),
        "assay": list(provenance.assay_rows(content)),
        "thresholds": list(provenance.threshold_rows(document)),
        "provenance": list(provenance.provenance_rows(content)),
        "edits": [provenance.edit_row(each) for each in content.edits],
        "history": [provenance.history_row(each) for each in content.history],
        "amendment": provenance.amendment(content),
        "fields": [evidence.field_caption(each) for each in content.figures.get("fields", ())],
        "gallery": [
            evidence.gallery_caption(each, document) for each in content.figures.get("gallery", ())
        ],
        "legend_classes": [
            {"code": code, "said": name, "colour": words.COLOURS[code]}
            for code, name in CLASS_NAMES.items()
        ],
        "legend_scores": [
            {"said": score, "colour": words.SCORE_COLOURS[score]}
            for score in ("0", "0+", "1+", "2+", "3+")
        ],
        "statement": evidence.statement(document),
    }


def status(content: Content) -> str:
    if content.signature is None:
        return "DRAFT: computed, not reviewed, not signed"
    line = f"Signed by {content.signature.full_name}, {day(content.signature.at)}"
    if content.signature.without_review:
        line = f"{line}, without a review"
    if content.state == "superseded":
        return f"SUPERSEDED by a newer version. {line}"
    return line


def final(signature: Signature | None) -> dict[str, str] | None:
    if signature is None:
        return None
    return {
        "score": signature.score,
        "colour": words.SCORE_COLOURS[signature.score],
        "name": signature.full_name
        if signature.facts is None
        else f"{signature.full_name}, {words.plain(signature.role, words.ROLES)}",
        "review": words.WITHOUT_REVIEW if signature.without_review else "",
        "at": day(signature.at),
        "meaning": words.MEANINGS[signature.meaning],
        "comment": signature.comment,
        "reason": signature.reason,
        "sha256": signature.sha256,
    }
