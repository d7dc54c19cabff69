//! Parts of maps, put together of what has changed and what has not.

use std::ops::Range;

use percept_kernels::View;
use rayon::prelude::*;

/// Maps of which a rectangle is another one for each change.
#[derive(Clone, Copy)]
pub(super) struct Changed<'a> {
    /// The clean maps, of one image.
    pub(super) clean: View<'a>,
    /// Their height and width.
    pub(super) full: [usize; 2],
    /// The rectangles, one after the other; none if nothing has changed yet.
    pub(super) values: Option<View<'a>>,
    /// Their height and width.
    pub(super) sides: [usize; 2],
    /// Where each begins.
    pub(super) starts: &'a [[usize; 2]],
}

/// Rectangles of one size that may reach out of an image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Region {
    /// Height and width.
    pub(super) sides: [usize; 2],
    /// Where each begins.
    pub(super) starts: Vec<[isize; 2]>,
}

impl Region {
    /// Whether these are the rectangles that changed.
    pub(super) fn is_of(&self, changed: &Changed<'_>) -> bool {
        let same = |(a, b): (&[isize; 2], &[usize; 2])| [0, 1].iter().all(|axis| a[*axis] == b[*axis] as isize);
        self.sides == changed.sides && self.starts.iter().zip(changed.starts).all(same)
    }
}

impl Changed<'_> {
    /// Copies regions into rows of `channels`, one region after the other, with `around` outside of the image.
    pub(super) fn gather(&self, region: &Region, channels: usize, around: f32, out: &mut [f32]) {
        let [height, width] = region.sides;
        let plane = height * width * channels;
        out[..plane * region.starts.len()].par_chunks_mut(plane).enumerate().for_each(|(image, out)| {
            let [top, left] = region.starts[image];
            let columns = inside(left, width, self.full[1]);
            let at = |column: usize| (column as isize - left) as usize * channels;
            let ours = overlap(&columns, self.starts[image][1], self.sides[1]);
            for (line, row) in out.chunks_exact_mut(width * channels).zip(top..) {
                if row < 0 || row >= self.full[0] as isize || columns.is_empty() {
                    line.fill(around);
                    continue;
                }
                let row = row as usize;
                line[..at(columns.start)].fill(around);
                line[at(columns.end)..].fill(around);
                let clean = |from: usize, to: usize, line: &mut [f32]| {
                    copy(self.clean, row * self.full[1] + from, channels, &mut line[at(from)..at(to)]);
                };
                let [first, _] = self.starts[image];
                match self.values {
                    Some(values) if (first..first + self.sides[0]).contains(&row) && !ours.is_empty() => {
                        clean(columns.start, ours.start, line);
                        let start = (image * self.sides[0] + row - first) * self.sides[1] + ours.start;
                        let start = start - self.starts[image][1];
                        copy(values, start, channels, &mut line[at(ours.start)..at(ours.end)]);
                        clean(ours.end, columns.end, line);
                    }
                    _ => clean(columns.start, columns.end, line),
                }
            }
        });
    }
}

/// The part of some pixels that lies in an image.
fn inside(start: isize, count: usize, size: usize) -> Range<usize> {
    let clamp = |at: isize| at.clamp(0, size as isize) as usize;
    clamp(start)..clamp(start + count as isize)
}

/// What two ranges share; empty and within the first if they share nothing.
fn overlap(a: &Range<usize>, start: usize, count: usize) -> Range<usize> {
    let from = start.clamp(a.start, a.end);
    from..(start + count).clamp(from, a.end)
}

/// Copies `channels` numbers of each of some rows that follow each other.
fn copy(from: View<'_>, row: usize, channels: usize, out: &mut [f32]) {
    if from.stride == channels {
        out.copy_from_slice(&from.data[row * channels..][..out.len()]);
        return;
    }
    for (out, row) in out.chunks_exact_mut(channels).zip(row..) {
        out.copy_from_slice(from.row(row, channels));
    }
}
