//! 3×3 convolution with stride 1 by Winograd's minimal filtering (Lavin and Gray 2015, arXiv:1509.09308).
//!
//! With F(4×4, 3×3) each 4×4 tile of the result comes from a 6×6 tile of the input by 36 products for each pair of channels
//! where the definition takes 144; the products of one place of all tiles are one matrix product. F(2×2, 3×3) makes 2×2 tiles
//! from 4×4 ones by 16 products instead of 36, and its sums round hardly worse than those of the definition. The gradient for the
//! input is the same with the kernel turned by half a circle.
#![expect(clippy::needless_range_loop, reason = "rows and columns of small matrices are read across each other")]

use std::array::from_fn;
use std::cell::RefCell;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::product::{Epilogue, Packed, Product, Rows, load, store};
use crate::{Maps, Stop, Target, View};

/// Places of a transformed tile at most.
const MOST_PLACES: usize = 36;
/// The tile of the input has so many more rows and columns than that of the result.
const MORE: usize = 2;

/// The side of a tile of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tile {
    /// F(4×4, 3×3): the fewest products.
    Four,
    /// F(2×2, 3×3): the most exact sums.
    Two,
}

impl Tile {
    fn side(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Two => 2,
        }
    }

    fn places(self) -> usize {
        (self.side() + MORE).pow(2)
    }
}

/// The transformed kernels: for each place of a tile a matrix `[C, O]`.
#[derive(Debug)]
pub struct Kernel {
    tile: Tile,
    channels: usize,
    outputs: usize,
    places: Vec<Packed>,
}

impl Kernel {
    /// From `weight(output, channel, [ky, kx])`.
    pub fn new(
        tile: Tile,
        channels: usize,
        outputs: usize,
        weight: impl Fn(usize, usize, [usize; 2]) -> f32 + Sync,
    ) -> Self {
        let transform = |i: usize| {
            let (c, o) = (i / outputs, i % outputs);
            transform_kernel(tile, &from_fn(|ky| from_fn(|kx| weight(o, c, [ky, kx]))))
        };
        let transformed: Vec<[f32; MOST_PLACES]> = (0..channels * outputs).into_par_iter().map(transform).collect();
        let place = |place| Packed::new(channels, outputs, |c, o| transformed[c * outputs + o][place]);
        Self { tile, channels, outputs, places: (0..tile.places()).into_par_iter().map(place).collect() }
    }

    /// Floats it holds.
    pub fn floats(&self) -> usize {
        self.places.iter().map(Packed::floats).sum()
    }
}

/// G g Gᵀ, as many numbers as there are places.
fn transform_kernel(tile: Tile, g: &[[f32; 3]; 3]) -> [f32; MOST_PLACES] {
    let row = |[a, b, c]: [f64; 3]| match tile {
        Tile::Four => {
            let (sum, quarter, half) = (a + c, a / 24.0 + c / 6.0, b / 12.0);
            [a / 4.0, -(sum + b) / 6.0, (b - sum) / 6.0, quarter + half, quarter - half, c]
        }
        Tile::Two => [a, (a + b + c) / 2.0, (a - b + c) / 2.0, c, 0.0, 0.0],
    };
    let n = tile.side() + MORE;
    let left: [[f64; 6]; 3] = from_fn(|x| row(from_fn(|y| f64::from(g[y][x]))));
    let whole: [[f64; 6]; 6] = from_fn(|y| row(from_fn(|x| left[x][y])));
    from_fn(|i| if i < n * n { whole[i / n][i % n] as f32 } else { 0.0 })
}

/// The sizes of a convolution with a 3×3 kernel and stride 1.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What it reads.
    pub input: Maps,
    /// What it makes.
    pub output: Maps,
    /// Zeros above and left of the image.
    pub before: [usize; 2],
}

impl Shape {
    fn tile_rows(&self, tile: Tile) -> usize {
        self.output.height.div_ceil(tile.side())
    }

    fn tile_columns(&self, tile: Tile) -> usize {
        self.output.width.div_ceil(tile.side())
    }

    /// Tiles of all images.
    pub fn tiles(&self, tile: Tile) -> usize {
        self.output.batch * self.tile_rows(tile) * self.tile_columns(tile)
    }
}

/// Images and rows of tiles that are one part of parallel work; they lie one after the other in the result.
struct Part {
    images: Range<usize>,
    rows: Range<usize>,
}

/// The transformed tiles of one part and their products, kept by each thread.
#[derive(Default)]
struct Scratch {
    tiles: Vec<[usize; 3]>,
    starts: Vec<usize>,
    targets: Vec<usize>,
    input: Vec<f32>,
    product: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Floats of transformed tiles that a core's cache holds.
const CACHE: usize = 80 << 10;

/// Convolves `x` with `kernel` into `out`.
pub fn convolve(shape: &Shape, x: View<'_>, kernel: &Kernel, out: Target<'_>, epilogue: &Epilogue<'_>, stop: Stop<'_>) {
    // enough tiles for the products to be worth fetching the kernels, few enough to stay in the cache
    let (c, o, tile) = (kernel.channels, kernel.outputs, kernel.tile);
    let cached = CACHE / (tile.places() * (c + o));
    let per_thread = shape.tiles(tile).div_ceil(rayon::current_num_threads());
    let step = cached.clamp(24, 96).max(c.min(o) / 4).min(per_thread).max(1);

    let Target { data, stride, offset } = out;
    let plane = shape.output.height * shape.output.width * stride;
    let per_image = shape.tile_rows(tile) * shape.tile_columns(tile);
    let run = |part: Part, data: &mut [f32]| {
        if !stop() {
            let out = Target { data, stride, offset };
            match tile {
                Tile::Four => convolve_part::<6>(shape, x, kernel, &part, out, epilogue, step),
                Tile::Two => convolve_part::<4>(shape, x, kernel, &part, out, epilogue, step),
            }
        }
    };
    if per_image >= step {
        let rows = step.div_ceil(shape.tile_columns(tile));
        let chunk = rows * tile.side() * shape.output.width * stride;
        data.par_chunks_mut(plane).enumerate().for_each(|(n, data)| {
            data.par_chunks_mut(chunk).enumerate().for_each(|(i, data)| {
                let rows = i * rows..((i + 1) * rows).min(shape.tile_rows(tile));
                run(Part { images: n..n + 1, rows }, data);
            });
        });
    } else {
        let images = step.div_ceil(per_image);
        data.par_chunks_mut(images * plane).enumerate().for_each(|(i, data)| {
            let images = i * images..((i + 1) * images).min(shape.output.batch);
            run(Part { images, rows: 0..shape.tile_rows(tile) }, data);
        });
    }
}

/// `N` is the side of a tile of the input.
fn convolve_part<const N: usize>(
    shape: &Shape,
    x: View<'_>,
    kernel: &Kernel,
    part: &Part,
    out: Target<'_>,
    epilogue: &Epilogue<'_>,
    step: usize,
) {
    let columns = shape.tile_columns(kernel.tile);
    let tiles = part
        .images
        .clone()
        .flat_map(|image| part.rows.clone().flat_map(move |row| (0..columns).map(move |column| [image, row, column])));
    // first row of the result that `out` holds
    let above = (part.images.start * shape.output.height + part.rows.start * (N - MORE)) * shape.output.width;
    let (c, width) = (kernel.channels, kernel.places[0].padded_n());
    let arch = Arch::new();
    SCRATCH.with_borrow_mut(|scratch| {
        let Scratch { tiles: all, starts, targets, input, product } = scratch;
        all.clear();
        all.extend(tiles);
        // parts of equal size, in whole tiles of the product
        let step = all.len().div_ceil(all.len().div_ceil(step)).next_multiple_of(8);
        for tiles in all.chunks(step) {
            // a place's rows start off the multiples of a page, so that places don't share cache sets
            let (in_place, out_place) = (tiles.len() * c + 16, tiles.len() * width + 16);
            grow(input, N * N * in_place);
            grow(product, N * N * out_place);
            starts.clear();
            starts.extend((0..tiles.len()).map(|tile| tile * c));
            targets.clear();
            targets.extend(0..tiles.len());
            arch.dispatch(In::<N> { shape, x, channels: c, tiles, out: input, place: in_place });
            for (place, right) in kernel.places.iter().enumerate() {
                arch.dispatch(Product {
                    left: Rows { data: &input[place * in_place..], starts, parts: 1, length: c },
                    right,
                    targets,
                    out: &mut product[place * out_place..][..tiles.len() * width],
                    above: 0,
                    stride: width,
                    offset: 0,
                    padded: true,
                    epilogue: Epilogue::default(),
                });
            }
            arch.dispatch(Out::<N> {
                shape,
                outputs: kernel.outputs,
                tiles,
                product,
                place: out_place,
                width,
                out: Target { data: &mut *out.data, stride: out.stride, offset: out.offset },
                above,
                epilogue,
            });
        }
    });
}

fn grow(values: &mut Vec<f32>, length: usize) {
    if values.len() < length {
        values.resize(length, 0.0);
    }
}

/// The transform of the input: for each tile and place a row of channels.
struct In<'a, const N: usize> {
    shape: &'a Shape,
    x: View<'a>,
    channels: usize,
    tiles: &'a [[usize; 3]],
    out: &'a mut [f32],
    place: usize,
}

impl<const N: usize> WithSimd for In<'_, N> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, x, channels, tiles, out, place } = self;
        let Maps { height, width, .. } = shape.input;
        let zeros = shape.input.rows() * x.stride;
        let lanes = S::F32_LANES;
        for (tile, &[image, row, column]) in tiles.iter().enumerate() {
            let mut starts = [[zeros; N]; N];
            for i in 0..N {
                let y = (row * (N - MORE) + i).wrapping_sub(shape.before[0]);
                for j in 0..N {
                    let across = (column * (N - MORE) + j).wrapping_sub(shape.before[1]);
                    if y < height && across < width {
                        starts[i][j] = ((image * height + y) * width + across) * x.stride + x.offset;
                    }
                }
            }
            let mut c = 0;
            while c < channels {
                let count = lanes.min(channels - c);
                let at = tile * channels + c;
                if count == lanes {
                    input_tile::<S, N, true>(simd, x.data, &starts, c, count, out, place, at);
                } else {
                    input_tile::<S, N, false>(simd, x.data, &starts, c, count, out, place, at);
                }
                c += count;
            }
        }
    }
}

/// Bᵀ d B for one vector of channels of one tile.
#[expect(clippy::too_many_arguments, reason = "the inside of a loop")]
#[inline(always)]
fn input_tile<S: Simd, const N: usize, const FULL: bool>(
    simd: S,
    data: &[f32],
    starts: &[[usize; N]; N],
    channel: usize,
    count: usize,
    out: &mut [f32],
    place: usize,
    at: usize,
) {
    let zero = simd.splat_f32s(0.0);
    let mut half = [[zero; N]; N];
    for x in 0..N {
        let mut d = [zero; N];
        for y in 0..N {
            d[y] = load::<S, FULL>(simd, &data[starts[y][x] + channel..][..count]);
        }
        let d = input_row(simd, d);
        for y in 0..N {
            half[y][x] = d[y];
        }
    }
    for y in 0..N {
        let d = input_row(simd, half[y]);
        for x in 0..N {
            store::<S, FULL>(simd, &mut out[(y * N + x) * place + at..][..count], d[x]);
        }
    }
}

/// Bᵀ d.
#[inline(always)]
fn input_row<S: Simd, const N: usize>(simd: S, d: [S::f32s; N]) -> [S::f32s; N] {
    let mut out = d;
    if N == 4 {
        out[0] = simd.sub_f32s(d[0], d[2]);
        out[1] = simd.add_f32s(d[1], d[2]);
        out[2] = simd.sub_f32s(d[2], d[1]);
        out[3] = simd.sub_f32s(d[3], d[1]);
        return out;
    }
    let (two, four, five) = (simd.splat_f32s(2.0), simd.splat_f32s(4.0), simd.splat_f32s(5.0));
    let a = simd.sub_f32s(d[4], simd.mul_f32s(four, d[2]));
    let b = simd.sub_f32s(d[3], simd.mul_f32s(four, d[1]));
    let (e, f) = (simd.sub_f32s(d[4], d[2]), simd.mul_f32s(two, simd.sub_f32s(d[3], d[1])));
    out[0] = simd.mul_add_f32s(four, d[0], simd.sub_f32s(d[4], simd.mul_f32s(five, d[2])));
    out[1] = simd.add_f32s(a, b);
    out[2] = simd.sub_f32s(a, b);
    out[3] = simd.add_f32s(e, f);
    out[4] = simd.sub_f32s(e, f);
    out[5] = simd.mul_add_f32s(four, d[1], simd.sub_f32s(d[5], simd.mul_f32s(five, d[3])));
    out
}

/// Aᵀ m, of which the first `N - 2` count.
#[inline(always)]
fn output_row<S: Simd, const N: usize>(simd: S, m: [S::f32s; N]) -> [S::f32s; 4] {
    if N == 4 {
        let (a, b) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
        let (first, second) = (simd.add_f32s(m[0], a), simd.add_f32s(b, m[3]));
        return [first, second, second, second];
    }
    let (two, four, eight) = (simd.splat_f32s(2.0), simd.splat_f32s(4.0), simd.splat_f32s(8.0));
    let (a, b) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (c, d) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(simd.add_f32s(m[0], a), c),
        simd.mul_add_f32s(two, d, b),
        simd.mul_add_f32s(four, c, a),
        simd.add_f32s(simd.mul_add_f32s(eight, d, b), m[5]),
    ]
}

/// The transform of the products back to pixels.
struct Out<'a, const N: usize> {
    shape: &'a Shape,
    outputs: usize,
    tiles: &'a [[usize; 3]],
    product: &'a [f32],
    place: usize,
    width: usize,
    out: Target<'a>,
    above: usize,
    epilogue: &'a Epilogue<'a>,
}

impl<const N: usize> WithSimd for Out<'_, N> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, outputs, tiles, product, place, width, out, above, epilogue } = self;
        let Maps { height: out_height, width: out_width, .. } = shape.output;
        let lanes = S::F32_LANES;
        let zero = simd.splat_f32s(0.0);
        for (tile, &[image, row, column]) in tiles.iter().enumerate() {
            let side = N - MORE;
            let (y, x) = (row * side, column * side);
            let (rows, columns) = (side.min(out_height - y), side.min(out_width - x));
            let first = (image * out_height + y) * out_width + x;
            let mut channel = 0;
            while channel < outputs {
                let count = lanes.min(outputs - channel);
                let mut half = [[zero; N]; 4];
                for j in 0..N {
                    let mut m = [zero; N];
                    for i in 0..N {
                        let at = (i * N + j) * place + tile * width + channel;
                        m[i] = load::<S, true>(simd, &product[at..]);
                    }
                    let m = output_row(simd, m);
                    for i in 0..side {
                        half[i][j] = m[i];
                    }
                }
                for i in 0..rows {
                    let pixels = output_row(simd, half[i]);
                    for j in 0..columns {
                        let row = first + i * out_width + j;
                        let out = &mut out.data[(row - above) * out.stride + out.offset + channel..][..count];
                        if count == lanes {
                            epilogue.store::<S, true>(simd, pixels[j], out, row, channel);
                        } else {
                            epilogue.store::<S, false>(simd, pixels[j], out, row, channel);
                        }
                    }
                }
                channel += count;
            }
        }
    }
}
