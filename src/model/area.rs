//! A rectangle of an image.

use std::ops::Range;

/// A rectangle of an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The first row.
    pub top: usize,
    /// The first column.
    pub left: usize,
    /// How many rows; at least one.
    pub height: usize,
    /// How many columns; at least one.
    pub width: usize,
}

impl Area {
    /// Whether it is a part of an image of `[height, width]`, and not empty.
    pub fn fits(&self, [height, width]: [usize; 2]) -> bool {
        let fits = |first: usize, count: usize, size: usize| count > 0 && first < size && count <= size - first;
        fits(self.top, self.height, height) && fits(self.left, self.width, width)
    }

    /// The pixels it covers along an axis, 0 for rows and 1 for columns.
    pub(super) fn side(&self, axis: usize) -> Range<usize> {
        if axis == 0 { self.top..self.top + self.height } else { self.left..self.left + self.width }
    }

    /// What lies in it of planes of `[height, width]`, plane by plane in row-major order.
    pub fn cut(&self, planes: &[f32], size: [usize; 2]) -> Vec<f32> {
        let mut pixels = Vec::with_capacity(planes.len() / (size[0] * size[1]).max(1) * self.height * self.width);
        for plane in planes.chunks_exact((size[0] * size[1]).max(1)) {
            self.lines(size).for_each(|line| pixels.extend_from_slice(&plane[line]));
        }
        pixels
    }

    /// Puts what [`cut`](Self::cut) has taken back into the planes.
    pub fn paste(&self, pixels: &[f32], planes: &mut [f32], size: [usize; 2]) {
        let mut rows = pixels.chunks_exact(self.width.max(1));
        for plane in planes.chunks_exact_mut((size[0] * size[1]).max(1)) {
            self.lines(size).zip(&mut rows).for_each(|(line, row)| plane[line].copy_from_slice(row));
        }
    }

    /// Where its rows lie in a plane of `[height, width]`.
    fn lines(&self, [_, width]: [usize; 2]) -> impl Iterator<Item = Range<usize>> + use<> {
        let (left, right) = (self.left, self.left + self.width);
        (self.top..self.top + self.height).map(move |row| row * width + left..row * width + right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_out_can_be_put_back() {
        let planes: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let area = Area { top: 1, left: 2, height: 2, width: 2 };
        let mut pixels = area.cut(&planes, [3, 4]);
        assert_eq!(pixels, [6.0, 7.0, 10.0, 11.0, 18.0, 19.0, 22.0, 23.0]);
        pixels.iter_mut().for_each(|v| *v = -*v);
        let mut changed = planes.clone();
        area.paste(&pixels, &mut changed, [3, 4]);
        let different: Vec<usize> = (0..24).filter(|i| changed[*i] != planes[*i]).collect();
        assert_eq!(different, [6, 7, 10, 11, 18, 19, 22, 23]);
        assert_eq!(area.cut(&changed, [3, 4]), pixels);
    }

    #[test]
    fn only_a_part_of_an_image_fits_into_it() {
        let area = |top, left, height, width| Area { top, left, height, width }.fits([3, 4]);
        assert!(area(0, 0, 3, 4) && area(2, 3, 1, 1));
        assert!(!area(0, 0, 0, 1) && !area(2, 0, 2, 1) && !area(0, 4, 1, 1) && !area(0, 1, 1, usize::MAX));
    }
}
