//! A picture in at most 256 colours.

use std::collections::BTreeSet;

use color_quant::NeuQuant;

/// The colours that a GIF has in a frame.
const COLORS: usize = 256;
/// One pixel in so many teaches the palette.
const SAMPLING: i32 = 10;
/// How often its colours are moved to the means of what they stand for.
const ROUNDS: usize = 4;

/// A picture whose pixels are numbers of colours.
pub struct Indexed {
    /// Red, green and blue of each colour, 0 to 255.
    pub palette: Vec<u8>,
    /// The number of each pixel's colour.
    pub indices: Vec<u8>,
}

impl Indexed {
    /// A picture from bytes, red, green and blue of each pixel, `width` pixels in a row.
    ///
    /// One with few colours keeps them. For others a palette is learnt (NeuQuant, then k-means), and what a pixel differs from its
    /// colour is passed on to its neighbours (Floyd and Steinberg, 1976), so that plain gradients have no bands.
    pub fn new(rgb: &[u8], width: usize) -> Self {
        let pixels = rgb.as_chunks::<3>().0;
        match few_colors(pixels) {
            Some(colors) => {
                let index = |pixel: &[u8; 3]| colors.binary_search(pixel).unwrap_or_default() as u8;
                Self { palette: colors.as_flattened().to_vec(), indices: pixels.iter().map(index).collect() }
            }
            None => diffused(pixels, width),
        }
    }
}

/// The colours of a picture in order, if they are no more than a palette has.
fn few_colors(pixels: &[[u8; 3]]) -> Option<Vec<[u8; 3]>> {
    let mut colors = BTreeSet::new();
    for pixel in pixels {
        colors.insert(*pixel);
        if colors.len() > COLORS {
            return None;
        }
    }
    Some(colors.into_iter().collect())
}

/// A palette that is learnt, and what pixels differ from it passed on.
fn diffused(pixels: &[[u8; 3]], width: usize) -> Indexed {
    let palette = Palette::learnt(pixels);
    let mut indices = vec![0u8; pixels.len()];
    // what is passed on to each pixel of this row and of the next one, with a pixel of margin on either side
    let mut own = vec![[0f32; 3]; width + 2];
    let mut below = own.clone();
    for (row, (line, indices)) in pixels.chunks(width).zip(indices.chunks_mut(width)).enumerate() {
        // every other row from right to left, which leaves no slanted traces
        let forward = row % 2 == 0;
        for step in 0..line.len() {
            let at = if forward { step } else { line.len() - 1 - step };
            let (ahead, behind) = if forward { (at + 2, at) } else { (at, at + 2) };
            let wanted: [f32; 3] =
                std::array::from_fn(|channel| (f32::from(line[at][channel]) + own[at + 1][channel]).clamp(0.0, 255.0));
            let (index, _) = palette.nearest(wanted);
            indices[at] = index as u8;
            let got = palette.color(index);
            for (channel, (wanted, got)) in wanted.iter().zip(got).enumerate() {
                let error = wanted - got;
                own[ahead][channel] += error * 7.0 / 16.0;
                below[behind][channel] += error * 3.0 / 16.0;
                below[at + 1][channel] += error * 5.0 / 16.0;
                below[ahead][channel] += error / 16.0;
            }
        }
        std::mem::swap(&mut own, &mut below);
        below.fill([0.0; 3]);
    }
    let bytes = (0..COLORS).flat_map(|index| palette.color(index).map(|value| value as u8));
    Indexed { palette: bytes.collect(), indices }
}

/// Colours from 0 to 255: all reds, all greens, all blues.
struct Palette([[f32; COLORS]; 3]);

impl Palette {
    /// Colours near those of the pixels: those of a network of neurons (NeuQuant), each moved some times to the mean of the colours
    /// that are nearest to it. Colours are whole numbers.
    fn learnt(pixels: &[[u8; 3]]) -> Self {
        let rgba: Vec<u8> = pixels.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect();
        let first = NeuQuant::new(SAMPLING, COLORS, &rgba).color_map_rgb();
        let mut palette = Self([[0.0; COLORS]; 3]);
        for (index, color) in first.as_chunks::<3>().0.iter().take(COLORS).enumerate() {
            palette.set(index, color.map(f32::from));
        }
        let cells = cells(pixels);
        for _ in 0..ROUNDS {
            palette.improve(&cells);
        }
        palette.0.as_flattened_mut().iter_mut().for_each(|value| *value = value.round());
        palette
    }

    fn color(&self, index: usize) -> [f32; 3] {
        self.0.each_ref().map(|values| values[index])
    }

    fn set(&mut self, index: usize, color: [f32; 3]) {
        self.0.iter_mut().zip(color).for_each(|(values, value)| values[index] = value);
    }

    /// The number of the nearest colour, the first of equally near ones, and its squared distance.
    fn nearest(&self, [r, g, b]: [f32; 3]) -> (usize, f32) {
        let [reds, greens, blues] = &self.0;
        let distances: [f32; COLORS] = std::array::from_fn(|index| {
            let (r, g, b) = (reds[index] - r, greens[index] - g, blues[index] - b);
            r * r + g * g + b * b
        });
        let least = distances.iter().copied().fold(f32::INFINITY, f32::min);
        (distances.iter().position(|distance| *distance == least).unwrap_or_default(), least)
    }

    /// One round of k-means. Colours that are the nearest of none go where most is lost.
    fn improve(&mut self, cells: &[([f32; 3], f32)]) {
        let mut sums = [([0f64; 3], 0f64); COLORS];
        let mut losses = Vec::with_capacity(cells.len());
        for (color, count) in cells {
            let (index, distance) = self.nearest(*color);
            let (sum, all) = &mut sums[index];
            sum.iter_mut().zip(color).for_each(|(sum, value)| *sum += f64::from(value * count));
            *all += f64::from(*count);
            losses.push((distance * count, *color));
        }
        losses.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut worst = losses.into_iter();
        for (index, (sum, count)) in sums.into_iter().enumerate() {
            if count > 0.0 {
                self.set(index, sum.map(|sum| (sum / count) as f32));
            } else if let Some((_, color)) = worst.next() {
                self.set(index, color);
            }
        }
    }
}

/// The mean colours of all pixels that agree in the upper six bits of each channel, and how many they are.
fn cells(pixels: &[[u8; 3]]) -> Vec<([f32; 3], f32)> {
    let cell = |color: &[u8; 3]| color.map(|value| value >> 2);
    let mut sorted = pixels.to_vec();
    sorted.sort_unstable_by_key(cell);
    let mean = |same: &[[u8; 3]]| {
        let count = same.len() as f32;
        let sum = |channel: usize| same.iter().map(|color| f32::from(color[channel])).sum::<f32>();
        ([0, 1, 2].map(|channel| sum(channel) / count), count)
    };
    sorted.chunk_by(|a, b| cell(a) == cell(b)).map(mean).collect()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn color(picture: &Indexed, pixel: usize) -> [u8; 3] {
        let index = 3 * usize::from(picture.indices[pixel]);
        [0, 1, 2].map(|channel| picture.palette[index + channel])
    }

    #[test]
    fn few_colours_are_kept() {
        let rgb: Vec<u8> = (0..256u32).flat_map(|i| [i as u8, (i * 7) as u8, (i / 3) as u8]).collect();
        let picture = Indexed::new(&rgb, 16);
        assert_eq!(picture.palette.len(), 768);
        assert!((0..256).all(|pixel| color(&picture, pixel) == rgb[3 * pixel..3 * pixel + 3]));
        assert_eq!(Indexed::new(&[9, 8, 7], 1).palette, [9, 8, 7]);
    }

    /// The mean over small squares stays that of the picture, which it would not if each pixel got its nearest colour.
    #[test]
    fn gradients_have_no_bands() {
        let (width, height) = (160usize, 120usize);
        let pixel = |at: usize| {
            let (x, y) = ((at % width) as f32 / width as f32, (at / width) as f32 / height as f32);
            [40.0 + 60.0 * y, 60.0 + 90.0 * y, 120.0 + 100.0 * x].map(|value| value as u8)
        };
        let rgb: Vec<u8> = (0..width * height).flat_map(pixel).collect();
        let picture = Indexed::new(&rgb, width);
        assert_eq!(picture.indices.len(), width * height);
        let palette = Palette::learnt(rgb.as_chunks().0);
        let bands = |at: usize| palette.color(palette.nearest(pixel(at).map(f32::from)).0);
        let diffused = |at: usize| color(&picture, at).map(f32::from);
        // the root mean square over squares of 5×5
        let error = |shown: &dyn Fn(usize) -> [f32; 3]| {
            let corners = (5..height - 10).step_by(5).flat_map(|top| (5..width - 10).step_by(5).map(move |l| (top, l)));
            let (mut sum, mut count) = (0f32, 0f32);
            for (top, left) in corners {
                for channel in 0..3 {
                    let difference = |place: usize| {
                        let at = (top + place / 5) * width + left + place % 5;
                        shown(at)[channel] - f32::from(pixel(at)[channel])
                    };
                    sum += ((0..25).map(difference).sum::<f32>() / 25.0).powi(2);
                    count += 1.0;
                }
            }
            (sum / count).sqrt()
        };
        assert!(error(&diffused) < 0.5 * error(&bands), "{} and {}", error(&diffused), error(&bands));
    }
}
