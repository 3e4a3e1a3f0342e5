"""Records of Visual Genome: some real ones, and made ones for photos of COCO, with what is wrong with a few."""

from __future__ import annotations

Box = tuple[float, float, float, float]
SPLITS = {"train": [51, 3, 2, 1, 4, 5, 999], "val": [6], "test": [7, 8]}
# An id of a split without a record; a photo in no archive. 4 and 8 have no regions.
NOT_LISTED, MISSING = 999, 5
COCO_IDS = {2: 37777, 3: 403385, 6: 331352}
IN_SECOND_ARCHIVE = (1, 7)

# (id, box, texts) of each image; those of image 1 are real, and so is the caption of image 51.
REGIONS: dict[int, list[tuple[int, Box, list[str]]]] = {
    1: [
        (1382, (421, 57, 82, 139), ["the clock is green in colour"]),
        (1383, (194, 372, 182, 109), ["shade is along the street "]),
        (1384, (241, 491, 61, 30), ["man is wearing sneakers"]),
        (1385, (617, 377, 36, 36), ["cars headlights are off"]),
    ],
    2: [(5000000001, (-4, -5, 30, 20), ["a chair\nat the table"]), (202, (300, 200, 90, 90), ["café on the right"])],
    3: [(301, (5, 6, 70, 80), ["a sink"])],
    51: [(511, (312, 279, 49, 51), ["Head of a person"])],
    4: [],
    5: [(501, (1, 1, 9, 9), ["nobody has the photo"])],
    6: [(601, (10, 20, 100, 200), ["a toilet"]), (602, (0, 0, 351, 500), ["a bathroom", "white room"])],
    7: [(701, (10, 10, 0, 5), ["no width"]), (702, (1, 2, 3, 4), ["something small"])],
}
# (id, box, names, attributes); the first is real.
OBJECTS: dict[int, list[tuple[int, Box, list[str], list[str]]]] = {
    1: [
        (1058498, (421, 91, 79, 339), ["clock"], ["green", "tall"]),
        (1058508, (248, 528, 37, 20), ["shoe", "sneaker"], []),
    ],
    2: [(2001, (1, 2, 30, 40), ["chair"], ["wooden"]), (2002, (3, 3, 5, 5), [], ["nameless"])],
    3: [(3001, (5, 6, 70, 80), ["sink"], [])],
    51: [(5101, (312, 279, 49, 51), ["head"], [])],
    4: [],
    5: [(5001, (1, 1, 9, 9), ["thing"], [])],
    6: [(6001, (10, 20, 100, 200), ["toilet"], ["white", "clean"])],
    7: [(7001, (1, 2, 3, 4), ["thing"], [])],
}
# (id, predicate, place of the subject, place of the object) among the image's objects
RELATIONS: dict[int, list[tuple[int, str, int, int]]] = {
    1: [(15927, "above", 0, 1)],
    2: [(15928, "next to", 0, 1)],
    3: [(15929, "near", 0, 0)],
    6: [(15930, "in", 0, 0)],
    7: [(15931, "ON", 0, 0)],
}
QUESTIONS = {
    1: [(986768, "What color is the clock?", "Green.")],
    2: [(986769, "Where is the chair?", "At the table.")],
    3: [(986770, "What is it?", "A sink.")],
    6: [(986771, "What is on the left?", "A toilet.")],
    7: [(986772, "When?", "Daytime.")],
}
