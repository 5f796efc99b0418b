"""Names of sections and color bars fit next to maps of any proportions."""

import pytest
from tests.get.positions import lattice, sections_at

import spacex as sx
from spacex.pl._tissue import shorten_name


def test_long_names_are_shortened_in_the_middle():
    assert shorten_name("GSM5494475_biopsy_1", 30) == "GSM5494475_biopsy_1"
    assert shorten_name("GSM5494475_biopsy_1", 10) == "GSM54…sy_1"
    assert [len(shorten_name("abcdefgh", n)) for n in (-2, 0, 3, 4, 7, 8)] == [3, 3, 3, 4, 7, 8]


def test_names_of_sections_are_below_them():
    names = ["a rather long name of a section, number 1", "a rather long name of a section, number 2", "$x_1$"]
    adata = sections_at(*[lattice(12, 12)] * 3, names=names)
    ax = sx.pl.gene_images(adata, "gene0", library_key="sample")
    shown = {text.get_text(): text for text in ax.texts}
    assert next(iter(shown)) == "$x_1$"  # sections are in the order of their names
    assert all(text.startswith("a ra") and text.endswith(tuple("12")) for text in list(shown)[1:])
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in shown.values()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    map_box = ax.get_window_extent()
    assert all(map_box.y0 <= box.y0 and box.y1 <= map_box.y1 for box in boxes)
    assert ax.get_aspect() in (1, "equal")


@pytest.mark.parametrize("shape", [(120, 6), (6, 120)])
def test_color_bars_of_long_maps_have_a_fixed_width(shape):
    ax = sx.pl.gene_images(sections_at(lattice(*shape)), "gene0")
    ax.figure.canvas.draw()
    bar = ax.child_axes[0].get_window_extent()
    assert 0.05 < bar.width / ax.figure.dpi < 0.2
    assert max(ax.figure.get_size_inches()) < 13
