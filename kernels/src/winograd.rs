//! 3×3 convolution with stride 1 by Winograd's minimal filtering F(4×4, 3×3) (Lavin and Gray 2015, arXiv:1509.09308).
//!
//! Each 4×4 tile of the result comes from a 6×6 tile of the input by 36 products for each pair of channels where
//! the definition takes 144; the products of one place of all tiles are one matrix product. The gradient for the
//! input is the same with the kernel turned by half a circle.
#![expect(clippy::needless_range_loop, reason = "rows and columns of small matrices are read across each other")]

use std::array::from_fn;
use std::cell::RefCell;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::product::{Epilogue, Packed, Product, Rows, load, store};
use crate::{Maps, Stop, Target, View};

/// Places of a transformed tile.
const PLACES: usize = 36;
/// Side of a tile of the result.
const SIDE: usize = 4;

/// The transformed kernels: for each place of a tile a matrix `[C, O]`.
#[derive(Debug)]
pub struct Kernel {
    channels: usize,
    outputs: usize,
    places: Vec<Packed>,
}

impl Kernel {
    /// From `weight(output, channel, [ky, kx])`.
    pub fn new(channels: usize, outputs: usize, weight: impl Fn(usize, usize, [usize; 2]) -> f32 + Sync) -> Self {
        let transform = |i: usize| {
            let (c, o) = (i / outputs, i % outputs);
            transform_kernel(&from_fn(|ky| from_fn(|kx| weight(o, c, [ky, kx]))))
        };
        let transformed: Vec<[f32; PLACES]> = (0..channels * outputs).into_par_iter().map(transform).collect();
        let place = |place| Packed::new(channels, outputs, |c, o| transformed[c * outputs + o][place]);
        Self { channels, outputs, places: (0..PLACES).into_par_iter().map(place).collect() }
    }

    /// Floats it holds.
    pub fn floats(&self) -> usize {
        self.places.iter().map(Packed::floats).sum()
    }
}

/// G g Gᵀ.
fn transform_kernel(g: &[[f32; 3]; 3]) -> [f32; PLACES] {
    let row = |[a, b, c]: [f64; 3]| {
        let (sum, quarter, half) = (a + c, a / 24.0 + c / 6.0, b / 12.0);
        [a / 4.0, -(sum + b) / 6.0, (b - sum) / 6.0, quarter + half, quarter - half, c]
    };
    let left: [[f64; 6]; 3] = from_fn(|x| row(from_fn(|y| f64::from(g[y][x]))));
    let whole: [[f64; 6]; 6] = from_fn(|y| row(from_fn(|x| left[x][y])));
    from_fn(|i| whole[i / 6][i % 6] as f32)
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
    fn tile_rows(&self) -> usize {
        self.output.height.div_ceil(SIDE)
    }

    fn tile_columns(&self) -> usize {
        self.output.width.div_ceil(SIDE)
    }

    /// Tiles of all images.
    pub fn tiles(&self) -> usize {
        self.output.batch * self.tile_rows() * self.tile_columns()
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
    let (c, o) = (kernel.channels, kernel.outputs);
    let cached = CACHE / (PLACES * (c + o));
    let per_thread = shape.tiles().div_ceil(rayon::current_num_threads());
    let step = cached.clamp(24, 96).max(c.min(o) / 4).min(per_thread).max(1);

    let Target { data, stride, offset } = out;
    let plane = shape.output.height * shape.output.width * stride;
    let per_image = shape.tile_rows() * shape.tile_columns();
    let run = |part: Part, data: &mut [f32]| {
        if !stop() {
            convolve_part(shape, x, kernel, &part, Target { data, stride, offset }, epilogue, step);
        }
    };
    if per_image >= step {
        let rows = step.div_ceil(shape.tile_columns());
        let chunk = rows * SIDE * shape.output.width * stride;
        data.par_chunks_mut(plane).enumerate().for_each(|(n, data)| {
            data.par_chunks_mut(chunk).enumerate().for_each(|(i, data)| {
                let rows = i * rows..((i + 1) * rows).min(shape.tile_rows());
                run(Part { images: n..n + 1, rows }, data);
            });
        });
    } else {
        let images = step.div_ceil(per_image);
        data.par_chunks_mut(images * plane).enumerate().for_each(|(i, data)| {
            let images = i * images..((i + 1) * images).min(shape.output.batch);
            run(Part { images, rows: 0..shape.tile_rows() }, data);
        });
    }
}

fn convolve_part(
    shape: &Shape,
    x: View<'_>,
    kernel: &Kernel,
    part: &Part,
    out: Target<'_>,
    epilogue: &Epilogue<'_>,
    step: usize,
) {
    let columns = shape.tile_columns();
    let tiles = part
        .images
        .clone()
        .flat_map(|image| part.rows.clone().flat_map(move |row| (0..columns).map(move |column| [image, row, column])));
    // first row of the result that `out` holds
    let above = (part.images.start * shape.output.height + part.rows.start * SIDE) * shape.output.width;
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
            grow(input, PLACES * in_place);
            grow(product, PLACES * out_place);
            starts.clear();
            starts.extend((0..tiles.len()).map(|tile| tile * c));
            targets.clear();
            targets.extend(0..tiles.len());
            arch.dispatch(In { shape, x, channels: c, tiles, out: input, place: in_place });
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
            arch.dispatch(Out {
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
struct In<'a> {
    shape: &'a Shape,
    x: View<'a>,
    channels: usize,
    tiles: &'a [[usize; 3]],
    out: &'a mut [f32],
    place: usize,
}

impl WithSimd for In<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, x, channels, tiles, out, place } = self;
        let Maps { height, width, .. } = shape.input;
        let zeros = shape.input.rows() * x.stride;
        let lanes = S::F32_LANES;
        for (tile, &[image, row, column]) in tiles.iter().enumerate() {
            let mut starts = [zeros; PLACES];
            for i in 0..6 {
                let y = (row * SIDE + i).wrapping_sub(shape.before[0]);
                for j in 0..6 {
                    let across = (column * SIDE + j).wrapping_sub(shape.before[1]);
                    if y < height && across < width {
                        starts[i * 6 + j] = ((image * height + y) * width + across) * x.stride + x.offset;
                    }
                }
            }
            let mut c = 0;
            while c < channels {
                let count = lanes.min(channels - c);
                let at = tile * channels + c;
                if count == lanes {
                    input_tile::<S, true>(simd, x.data, &starts, c, count, out, place, at);
                } else {
                    input_tile::<S, false>(simd, x.data, &starts, c, count, out, place, at);
                }
                c += count;
            }
        }
    }
}

/// Bᵀ d B for one vector of channels of one tile.
#[expect(clippy::too_many_arguments, reason = "the inside of a loop")]
#[inline(always)]
fn input_tile<S: Simd, const FULL: bool>(
    simd: S,
    data: &[f32],
    starts: &[usize; PLACES],
    channel: usize,
    count: usize,
    out: &mut [f32],
    place: usize,
    at: usize,
) {
    let zero = simd.splat_f32s(0.0);
    let mut half = [[zero; 6]; 6];
    for x in 0..6 {
        let mut d = [zero; 6];
        for y in 0..6 {
            d[y] = load::<S, FULL>(simd, &data[starts[y * 6 + x] + channel..][..count]);
        }
        let d = input_row(simd, d);
        for y in 0..6 {
            half[y][x] = d[y];
        }
    }
    for y in 0..6 {
        let d = input_row(simd, half[y]);
        for x in 0..6 {
            store::<S, FULL>(simd, &mut out[(y * 6 + x) * place + at..][..count], d[x]);
        }
    }
}

/// Bᵀ d.
#[inline(always)]
fn input_row<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
    let (two, four, five) = (simd.splat_f32s(2.0), simd.splat_f32s(4.0), simd.splat_f32s(5.0));
    let a = simd.sub_f32s(d[4], simd.mul_f32s(four, d[2]));
    let b = simd.sub_f32s(d[3], simd.mul_f32s(four, d[1]));
    let (e, f) = (simd.sub_f32s(d[4], d[2]), simd.mul_f32s(two, simd.sub_f32s(d[3], d[1])));
    [
        simd.mul_add_f32s(four, d[0], simd.sub_f32s(d[4], simd.mul_f32s(five, d[2]))),
        simd.add_f32s(a, b),
        simd.sub_f32s(a, b),
        simd.add_f32s(e, f),
        simd.sub_f32s(e, f),
        simd.mul_add_f32s(four, d[1], simd.sub_f32s(d[5], simd.mul_f32s(five, d[3]))),
    ]
}

/// Aᵀ m.
#[inline(always)]
fn output_row<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
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
struct Out<'a> {
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

impl WithSimd for Out<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, outputs, tiles, product, place, width, out, above, epilogue } = self;
        let Maps { height: out_height, width: out_width, .. } = shape.output;
        let lanes = S::F32_LANES;
        let zero = simd.splat_f32s(0.0);
        for (tile, &[image, row, column]) in tiles.iter().enumerate() {
            let (y, x) = (row * SIDE, column * SIDE);
            let (rows, columns) = (SIDE.min(out_height - y), SIDE.min(out_width - x));
            let first = (image * out_height + y) * out_width + x;
            let mut channel = 0;
            while channel < outputs {
                let count = lanes.min(outputs - channel);
                let mut half = [[zero; 6]; SIDE];
                for j in 0..6 {
                    let mut m = [zero; 6];
                    for i in 0..6 {
                        let at = (i * 6 + j) * place + tile * width + channel;
                        m[i] = load::<S, true>(simd, &product[at..]);
                    }
                    let m = output_row(simd, m);
                    for i in 0..SIDE {
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
