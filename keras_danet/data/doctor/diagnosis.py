"""Judges the evidence: findings, and a mapping that would mend the labels."""

from keras_danet.data.classes import CLASSES, class_names, label_map
from keras_danet.data.doctor.report import Finding

IGNORED = 255
RARE = 1e-5  # share of pixels below which a value looks like an accident


def diagnose(evidence, num_classes):
    """All findings, errors first, and the proposed `label_map` or `None`."""
    findings = [*_files(evidence), *_forms(evidence)]
    colors = {v: n for v, n in evidence.values.items() if isinstance(v, tuple)}
    ids = {v: n for v, n in evidence.values.items() if not isinstance(v, tuple)}
    proposal = None
    if colors:
        finding, proposal = _color_masks(evidence, colors, num_classes)
        findings.append(finding)
    if ids:
        wrong, mapping = _wrong_ids(evidence, ids, num_classes)
        findings += wrong
        proposal = proposal or mapping
    if not colors and proposal is None:
        findings += _contents(evidence, num_classes)
    order = ("error", "warning", "note")
    return sorted(findings, key=lambda f: order.index(f.level)), proposal


def _files(evidence):
    """Files that are missing, broken or do not fit."""
    for kind, other in (("image", "label"), ("label", "image")):
        if evidence.lonely[kind]:
            yield Finding(
                "missing pairs",
                "error",
                f"{len(evidence.lonely[kind])} {kind}s have no {other} of their name.",
                f"Add or rename the {other}s (a.jpg belongs to a.png), or remove the "
                f"{kind}s.",
                tuple(map(str, evidence.lonely[kind])),
            )
    if evidence.broken:
        first = next(iter(evidence.broken.values()))
        yield Finding(
            "unreadable files",
            "error",
            f"{len(evidence.broken)} files cannot be used; the first: {first}",
            "Download or export them again, or remove them with their partners.",
            tuple(evidence.broken),
        )
    if evidence.sizes:
        first = next(iter(evidence.sizes.values()))
        yield Finding(
            "size mismatch",
            "error",
            f"{len(evidence.sizes)} labels differ in size from their images; the "
            f"first: {first}",
            "Export the labels at the images' size; resize them by nearest neighbor.",
            tuple(evidence.sizes),
        )
    if not evidence.examples:
        yield Finding(
            "no examples",
            "error",
            "Not one example could be read.",
            "Check the paths.",
        )


def _forms(evidence):
    """How labels are stored, where that is worth knowing."""
    if evidence.palettes:
        yield Finding(
            "palette masks",
            "note",
            f"{len(evidence.palettes)} labels are palette pictures; their indices are "
            "the class ids and are read as such.",
            "Nothing to do here. Other readers may give you their colors instead.",
            tuple(evidence.palettes),
        )
    if evidence.void:
        yield Finding(
            "nothing labelled",
            "warning",
            f"In {len(evidence.void)} labels every pixel is ignored (255).",
            "Remove these examples; they teach nothing.",
            tuple(evidence.void),
        )


def _color_masks(evidence, colors, num_classes):
    """RGB masks, with the mapping of a data set that has these colors."""
    message = f"Labels are RGB pictures of {len(colors)} colors, not class ids."
    places = {place for color in colors for place in evidence.places[color]}
    known = _known_colors(set(colors), num_classes)
    if known:
        cure = f"These are the colors of {known[0]}: pass the proposed mapping."
        mapping = known[1]
    elif len(colors) <= num_classes + 1:
        cure = (
            "Pass a mapping from color to id, the proposed one after you have put its "
            "ids in order (the most frequent color comes first)."
        )
        ordered = sorted(colors, key=colors.get, reverse=True)
        mapping = {c: i if i < num_classes else IGNORED for i, c in enumerate(ordered)}
    else:
        cure = (
            f"{len(colors)} colors are more than {num_classes} classes: the masks were "
            "saved lossily or resized with interpolation. Export them again as PNG."
        )
        mapping = None
    finding = Finding("color masks", "error", message, cure, tuple(sorted(places)))
    return finding, mapping


def _known_colors(colors, num_classes):
    """(name, {color: id}) of the data set that has all these colors."""
    for name, rows in CLASSES.items():
        if len(class_names(name)) != num_classes:
            continue
        # Trained classes last, they win where void shares a color.
        rows = sorted(rows, key=lambda row: row.train_id != IGNORED)
        table = {row.color: row.train_id for row in rows}
        table.setdefault((0, 0, 0), IGNORED)
        if colors <= table.keys():
            return name, table
    return None


def _wrong_ids(evidence, ids, num_classes):
    """([finding], mapping) where the integers are not the class ids 0..K-1 and 255."""
    beyond = sorted(v for v in ids if not 0 <= v < num_classes and v != IGNORED)
    mapped = evidence.label_map is not None
    named = any(name.endswith("_labelIds.png") for name in evidence.places[min(ids)])
    raw = named and num_classes == 19 and not mapped
    binary = set(ids) == {0, IGNORED} and num_classes == 2 and not mapped
    if not (beyond or raw or binary):
        return [], None
    if mapped:
        cure = "The mapping you passed gives these ids; correct it."
        kind, mapping = "ids out of range", None
    else:
        kind, cure, mapping = _explain(ids, num_classes, raw, binary)
    places = sorted({p for v in beyond or ids for p in evidence.places[v]})
    rare = sum(ids[v] for v in beyond) < RARE * sum(ids.values())
    if beyond and rare and mapping is None:
        cure += " They are so few that they look like slips of drawing or resizing."
    message = (
        f"Labels hold the values {_few(beyond or sorted(ids))}; {num_classes} classes "
        f"are the ids 0 to {num_classes - 1}, and 255 is ignored."
    )
    return [Finding(kind, "error", message, cure, tuple(places))], mapping


def _explain(ids, num_classes, raw, binary):
    """(kind, cure, mapping) of integers that do not fit."""
    mapped = "Pass the proposed mapping."
    seen = set(ids) - {IGNORED}
    if binary:
        cure = "255 would be ignored, and one class left. " + mapped
        return "0/255 masks", cure, {0: 0, IGNORED: 1}
    if raw or num_classes == 19 and seen <= label_map("cityscapes").keys():
        cure = "These are Cityscapes labelIds, not trainIds. " + mapped
        return "labelIds", cure, label_map("cityscapes")
    for name in CLASSES:
        if len(class_names(name)) == num_classes and seen <= label_map(name).keys():
            cure = f"These could be the ids of {name}; check the pictures. " + mapped
            return "source ids", cure, label_map(name)
    if min(seen) < 0:
        cure = "Export them again with 255 in place of what is negative."
        return "ids out of range", cure, None
    if max(seen) == num_classes:
        shift = {i: i - 1 for i in range(1, num_classes + 1)}
        cure = f"The ids start at 1 and move down by one. {mapped}"
        if 0 in seen:
            cure = (
                f"Either 0 is no class, and the classes are 1 to {num_classes}: pass "
                f"the proposed mapping. Or {num_classes} is none: pass {num_classes}: "
                "255, and every other id as itself. The contact sheet shows which."
            )
        return "shifted labels", cure, {0: IGNORED, **shift}
    if len(ids) == num_classes:
        cure = "They are as many as the classes, spread out. Check their order. "
        return "gray masks", cure + mapped, {v: i for i, v in enumerate(sorted(ids))}
    cure = "Pass label_map={value: id, ...} for every value, or build the model with "
    return "ids out of range", cure + "more classes.", None


def _contents(evidence, num_classes):
    """Classes that do not occur, in labels that are otherwise right."""
    empty = [i for i, pixels in enumerate(evidence.count.pixels) if not pixels]
    if empty and evidence.examples:
        yield Finding(
            "empty classes",
            "warning",
            f"{len(empty)} of {num_classes} classes have no pixel: {_few(empty)}.",
            "Add examples, or train with fewer classes.",
        )


def _few(values, limit=10):
    text = ", ".join(map(str, values[:limit]))
    return text + (f", ... ({len(values)} in all)" if len(values) > limit else "")
