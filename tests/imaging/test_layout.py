"""Layout of sections, and means over sections."""

from __future__ import annotations

import numpy as np
from tests.imaging.data import square, two_sections

from spacex.imaging.layout import SectionLayout, section_means


def test_sections_are_side_by_side(rng: np.random.Generator) -> None:
    both, alone = two_sections(rng)
    assert both.shape == (17, 14 + 1 + 6)
    assert both.layout.offsets.tolist() == [0, 15]
    np.testing.assert_array_equal(both.mask[:12, :14], alone[0].mask)
    np.testing.assert_array_equal(both.mask[:, 15:], alone[1].mask)
    assert not both.mask[:, 14].any()
    assert not both.mask[12:, :14].any()
    images = both.images(slice(0, 3))
    np.testing.assert_allclose(images[:, :12, :14], alone[0].images(slice(0, 3)), atol=1e-5)
    np.testing.assert_allclose(images[:, :, 15:], alone[1].images(slice(0, 3)), atol=1e-5)


def test_images_and_mask_agree_with_pixels(rng: np.random.Generator) -> None:
    both, _ = two_sections(rng)
    values = 1 + rng.random((4, both.n_pixels))
    value_images = both.layout.to_images(values)
    assert value_images.dtype == values.dtype
    np.testing.assert_array_equal(value_images != 0, np.broadcast_to(both.mask, value_images.shape))
    np.testing.assert_array_equal(value_images.reshape(4, -1)[:, both.layout.flat], values)
    assert len(np.unique(both.layout.flat)) == both.n_pixels
    images = both.images(np.array([3, 1]))
    np.testing.assert_array_equal(images.reshape(2, -1)[:, both.layout.flat], both.residuals(np.array([3, 1])))
    assert images.dtype == np.float32
    assert not images[:, ~both.mask].any()


def test_section_means(rng: np.random.Generator) -> None:
    values, section = rng.random((3, 50)), rng.integers(0, 3, 50)
    expected = np.column_stack([values[:, section == s].mean(1) for s in range(3)])
    np.testing.assert_allclose(section_means(values, section, 3), expected)
    np.testing.assert_allclose(section_means(values, np.zeros(50, dtype=int), 1), values.mean(1, keepdims=True))


def test_section_means_of_sorted_and_empty_sections(rng: np.random.Generator) -> None:
    values, section = rng.random((3, 50)), np.sort(rng.choice([0, 2, 3], 50))  # sorted; section 1 is empty
    expected = np.column_stack([values[:, section == s].mean(1) if s != 1 else np.zeros(3) for s in range(4)])
    np.testing.assert_allclose(section_means(values, section, 4), expected)
    np.testing.assert_allclose(section_means(values, section[::-1], 4)[:, 1], 0)
    assert section_means(values, section, 6).shape == (3, 6)
    alone = np.array([0, 0, 1])  # section 1 has one pixel
    np.testing.assert_allclose(section_means(values[:, :3], alone, 2)[:, 1], values[:, 2])


def test_layout_of_one_pixel() -> None:
    layout = SectionLayout((square(1, 1),), np.array([0]), np.array([[0, 0]]))
    assert layout.shape == (1, 1)
    assert layout.mask.all()
    np.testing.assert_array_equal(layout.to_images(np.array([[2.0]])), [[[2.0]]])
