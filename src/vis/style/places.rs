//! Which places of layers count, and how an image is looked at in squares whose places add up to those of the whole.

use std::ops::Range;

use candle_core::{Device, Tensor};

use crate::error::{Error, Kind, Result};
use crate::model::{Layer, Op, ReceptiveField};
use crate::tensor::with_values;

/// What stands beyond the edges of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edges {
    /// Nothing: the network pads its maps as always, and all places count.
    Padded,
    /// The image again: it is one period of an endless one.
    Wrapped,
    /// Nothing, and places that would see something of it do not count; but at least the middle half of an axis does.
    Inside,
}

/// How an image of one size is looked at through some layers: in one piece, or in squares with as much around each as its
/// places see. Each place belongs to one square, in which it sees what it sees in the whole image; so sums over places are those
/// of the whole image, and so are gradients of what depends on such sums.
#[derive(Clone, Debug)]
pub struct Tiling {
    tiles: Vec<Tile>,
    /// Height and width of the image.
    size: [usize; 2],
}

/// A square of an image and the places in it that count.
#[derive(Clone, Debug)]
pub struct Tile {
    rows: Span,
    columns: Span,
}

/// A stretch of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    /// The first pixel that is looked at, a multiple of all strides; may lie outside.
    start: i64,
    /// How many are looked at.
    length: usize,
    /// Places whose first pixel, without padding, is among these belong to it.
    own: [i64; 2],
    /// The length of the axis.
    axis: usize,
    edges: Edges,
}

impl Tiling {
    /// Of an image of [height, width], seen through `layers`: in one piece, or in squares of the side `tile` if it is larger.
    ///
    /// # Errors
    /// A layer looks at whole images, so that squares of them say nothing of it; or squares are too small for what its places
    /// see.
    pub fn new(layers: &[Layer], [height, width]: [usize; 2], tile: Option<usize>, edges: Edges) -> Result<Self> {
        let tile = tile.filter(|tile| height > *tile || width > *tile);
        if tile.is_some() || edges == Edges::Wrapped {
            for layer in layers {
                check_local(layer)?;
            }
        }
        let fields: Vec<ReceptiveField> = layers.iter().map(Layer::receptive_field).collect();
        let margins = Margins::of(&fields);
        let [rows, columns] = [height, width].map(|length| spans(length, tile, margins, edges));
        let (rows, columns) = (rows?, columns?);
        let tiles = rows.iter().flat_map(|rows| columns.iter().map(|columns| Tile { rows: *rows, columns: *columns }));
        Ok(Self { tiles: tiles.collect(), size: [height, width] })
    }

    /// The squares, from left to right and from top to bottom.
    pub fn tiles(&self) -> &[Tile] {
        &self.tiles
    }

    /// Height and width of the image.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }
}

/// The smallest side of squares through which these layers can be seen.
pub fn least_tile(layers: &[Layer]) -> usize {
    let fields: Vec<ReceptiveField> = layers.iter().map(Layer::receptive_field).collect();
    let Margins { before, after, step } = Margins::of(&fields);
    before + after + step
}

/// Refuses a layer whose places see the whole image, however large it is.
fn check_local(layer: &Layer) -> Result<()> {
    let graph = layer.model().graph();
    let mut needed = vec![false; layer.id().index() + 1];
    if let Some(last) = needed.last_mut() {
        *last = true;
    }
    for id in graph.ids().take(layer.id().index() + 1).rev() {
        if !needed[id.index()] {
            continue;
        }
        let node = graph.node(id);
        let is_local = match &node.op {
            Op::AdaptiveAvgPool2d(_) | Op::Flatten | Op::Unflatten(_) | Op::Linear(_) => false,
            Op::Patch(patch) => patch.shape.len() == 1,
            _ => true,
        };
        if !is_local {
            let message = format!("layer {} sees the whole image through {}", layer.name(), node.name);
            return Err(Error::new(Kind::Argument, message)
                .with_hint("choose an earlier layer, whose places see a part of the image")
                .at_argument("layers"));
        }
        node.inputs.iter().for_each(|input| needed[input.index()] = true);
    }
    Ok(())
}

/// How far places see before and behind their first pixel, in multiples of all strides.
#[derive(Clone, Copy, Debug)]
struct Margins {
    before: usize,
    after: usize,
    /// A multiple of all strides.
    step: usize,
}

impl Margins {
    fn of(fields: &[ReceptiveField]) -> Self {
        let step = fields.iter().fold(1, |step, field| common_multiple(step, field.jump.max(1)));
        let most = |of: &dyn Fn(&ReceptiveField) -> i64| fields.iter().map(of).max().unwrap_or(0).max(0) as usize;
        let before = most(&|field| -field.start);
        // the last place of a stretch begins one stride before its end
        let after = most(&|field| field.start + field.size as i64 - field.jump as i64);
        Self { before: before.next_multiple_of(step), after: after.next_multiple_of(step), step }
    }
}

fn common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x.max(1) * b
}

/// The stretches of an axis, whose own places make up all of it.
fn spans(length: usize, tile: Option<usize>, margins: Margins, edges: Edges) -> Result<Vec<Span>> {
    let Margins { before, after, step } = margins;
    let whole = |start: i64, length: usize| Span { start, length, own: [0, i64::MAX], axis: length, edges };
    let Some(tile) = tile.filter(|tile| *tile < length) else {
        return Ok(vec![match edges {
            Edges::Wrapped => {
                Span { own: [0, length as i64], axis: length, ..whole(-(before as i64), before + length + after) }
            }
            _ => whole(0, length),
        }]);
    };
    let room = tile.saturating_sub(before + after) / step * step;
    if room == 0 {
        let message =
            format!("squares of {tile} pixels are too small: these layers see up to {} around", before.max(after));
        return Err(Error::new(Kind::Argument, message)
            .with_hint(format!("tile={} is the smallest, and four times that is quick", before + after + step))
            .at_argument("tile"));
    }
    // as even as the strides let them be
    let inner = length.div_ceil(length.div_ceil(room)).next_multiple_of(step);
    let seen = before + inner + after;
    let (length_, before_, step_) = (length as i64, before as i64, step as i64);
    let firsts = (0..length).step_by(inner).map(|first| first as i64);
    Ok(firsts
        .map(|first| {
            let is_last = first + inner as i64 >= length_;
            let own = [
                first,
                if is_last && edges != Edges::Wrapped { i64::MAX } else { (first + inner as i64).min(length_) },
            ];
            if edges == Edges::Wrapped {
                return Span { start: first - before_, length: seen, own, axis: length, edges };
            }
            // of one size, as far as the strides allow
            let latest = (length_ - seen as i64).div_euclid(step_) * step_;
            let start = (first - before_).min(latest).max(0);
            let end = if start + seen as i64 + step_ > length_ { length_ } else { start + seen as i64 };
            Span { start, length: (end - start) as usize, own, axis: length, edges }
        })
        .collect())
}

impl Span {
    /// Which of the `count` places of a layer in this stretch are its own.
    fn places(&self, field: ReceptiveField, count: usize) -> Range<usize> {
        let jump = field.jump.max(1) as i64;
        let ceil = |pixels: i64| pixels.div_euclid(jump) + i64::from(pixels.rem_euclid(jump) > 0);
        let mut first = ceil(self.own[0]);
        let mut end = if self.own[1] == i64::MAX { i64::MAX } else { ceil(self.own[1]) };
        if self.edges == Edges::Inside {
            let all = self.axis.div_ceil(field.jump.max(1)) as i64;
            let inside = (self.axis as i64 - field.size as i64 - field.start).div_euclid(jump) + 1;
            first = first.max(ceil(-field.start).min(all / 4));
            end = end.min(inside.max(all - all / 4));
        }
        let offset = self.start / jump;
        let local = |place: i64| place.saturating_sub(offset).clamp(0, count as i64) as usize;
        local(first)..local(end).max(local(first))
    }

    fn is_whole(&self) -> bool {
        self.start == 0 && self.length == self.axis
    }

    /// The pixels of the axis that are looked at.
    fn pixels(&self) -> impl Iterator<Item = usize> + Clone {
        (self.start..self.start + self.length as i64).map(|pixel| pixel.rem_euclid(self.axis as i64) as usize)
    }
}

impl Tile {
    /// Of the places of a layer of this square, whose map has this height and width, those that count: rows and columns.
    pub fn places(&self, field: ReceptiveField, [height, width]: [usize; 2]) -> [Range<usize>; 2] {
        [self.rows.places(field, height), self.columns.places(field, width)]
    }

    /// Which places of the whole image these are.
    pub fn in_whole(&self, field: ReceptiveField, places: &[Range<usize>; 2]) -> [Range<usize>; 2] {
        let moved = |span: &Span, range: &Range<usize>| {
            let offset = span.start / field.jump.max(1) as i64;
            let place = |local: usize| (local as i64 + offset).max(0) as usize;
            place(range.start)..place(range.end)
        };
        [moved(&self.rows, &places[0]), moved(&self.columns, &places[1])]
    }

    /// The square of an image `[1, 3, h, w]`.
    ///
    /// # Errors
    /// The image has another size than the tiling.
    pub fn cut(&self, image: &Tensor) -> Result<Tensor> {
        if self.rows.is_whole() && self.columns.is_whole() {
            return Ok(image.clone());
        }
        let inside = |span: &Span| span.start >= 0 && span.start as usize + span.length <= span.axis;
        if inside(&self.rows) && inside(&self.columns) {
            let rows = image.narrow(2, self.rows.start as usize, self.rows.length)?;
            return Ok(rows.narrow(3, self.columns.start as usize, self.columns.length)?.contiguous()?);
        }
        let (height, width) = (self.rows.axis, self.columns.axis);
        let values = with_values(&image.detach(), |values| {
            let mut cut = Vec::with_capacity(3 * self.rows.length * self.columns.length);
            for plane in values.chunks_exact(height * width) {
                for row in self.rows.pixels() {
                    let row = &plane[row * width..][..width];
                    cut.extend(self.columns.pixels().map(|column| row[column]));
                }
            }
            cut
        })?;
        Ok(Tensor::from_vec(values, (1, 3, self.rows.length, self.columns.length), &Device::Cpu)?)
    }

    /// Adds a gradient for the square, `[1, 3, h, w]`, to that for the image's pixels.
    ///
    /// # Errors
    /// It has another size than the square.
    pub fn add(&self, gradient: &Tensor, whole: &mut [f32]) -> Result<()> {
        let (height, width) = (self.rows.axis, self.columns.axis);
        if gradient.dims() != [1, 3, self.rows.length, self.columns.length] || whole.len() != 3 * height * width {
            return Err(Error::new(Kind::Internal, "a square's gradient has another size"));
        }
        with_values(&gradient.detach(), |values| {
            let planes =
                whole.chunks_exact_mut(height * width).zip(values.chunks_exact(self.rows.length * self.columns.length));
            for (plane, square) in planes {
                for (row, slopes) in self.rows.pixels().zip(square.chunks_exact(self.columns.length)) {
                    let row = &mut plane[row * width..][..width];
                    self.columns.pixels().zip(slopes).for_each(|(column, slope)| row[column] += slope);
                }
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::job::Interrupt;
    use crate::model::{Model, NodeId, Rules};
    use crate::tensor::testing::{assert_close, pick, random, rng, values};

    fn layers(model: &Model) -> Vec<Layer> {
        ["relu_conv1", "fire2", "fire4"].map(|name| model.layer(name).unwrap()).to_vec()
    }

    /// The values of layers over a square.
    fn look(model: &Model, layers: &[Layer], image: &Tensor) -> Vec<Tensor> {
        let taps: Vec<NodeId> = layers.iter().map(Layer::id).collect();
        let input = (image * 100.0).unwrap();
        model.run(&input, &taps, &Rules::default(), &Interrupt::never()).unwrap()
    }

    fn size_of(x: &Tensor) -> [usize; 2] {
        [x.dim(2).unwrap(), x.dim(3).unwrap()]
    }

    fn part(x: &Tensor, [rows, columns]: &[Range<usize>; 2]) -> Tensor {
        x.narrow(2, rows.start, rows.len()).unwrap().narrow(3, columns.start, columns.len()).unwrap()
    }

    /// Every place is in one square, with the value that it has in the whole image.
    #[test]
    fn squares_hold_the_places_of_the_whole() {
        let mut rng = rng(1);
        let model = Model::embedded().unwrap();
        let layers = layers(&model);
        for model in [model.clone(), model.with_average_pooling().unwrap()] {
            for round in 0..6 {
                let size = [pick(&mut rng, 90..=190), pick(&mut rng, 90..=190)];
                let tile = least_tile(&layers) + pick(&mut rng, 0..=40);
                let image = random(&mut rng, (1, 3, size[0], size[1]));
                let whole = look(&model, &layers, &image);
                let tiling = Tiling::new(&layers, size, Some(tile), Edges::Padded).unwrap();
                let mut seen: Vec<Vec<u8>> =
                    whole.iter().map(|x| vec![0; x.dim(2).unwrap() * x.dim(3).unwrap()]).collect();
                for square in tiling.tiles() {
                    let parts = look(&model, &layers, &square.cut(&image).unwrap());
                    for (at, layer) in layers.iter().enumerate() {
                        let field = layer.receptive_field();
                        let places = square.places(field, size_of(&parts[at]));
                        let there = square.in_whole(field, &places);
                        let (ours, truth) = (part(&parts[at], &places), part(&whole[at], &there));
                        assert_close(
                            &values(&ours),
                            &values(&truth),
                            1e-4,
                            &format!("round {round}, {}", layer.name()),
                        );
                        let width = whole[at].dim(3).unwrap();
                        for row in there[0].clone() {
                            there[1].clone().for_each(|column| seen[at][row * width + column] += 1);
                        }
                    }
                }
                assert!(seen.iter().flatten().all(|count| *count == 1), "{size:?} in squares of {tile}");
            }
        }
    }

    /// An image of whole strides that goes on at its edges looks the same wherever it begins.
    #[test]
    fn an_endless_image_has_no_edges() {
        let mut rng = rng(2);
        let model = Model::embedded().unwrap();
        let layers = layers(&model);
        let image = random(&mut rng, (1, 3, 64, 96));
        let moved = crate::tensor::roll(&image, [16, -24]).unwrap();
        for tile in [None, Some(least_tile(&layers) + 16)] {
            let tiling = Tiling::new(&layers, [64, 96], tile, Edges::Wrapped).unwrap();
            let sums = |image: &Tensor| -> Vec<Vec<f32>> {
                let mut sums = vec![0.0; layers.len()];
                let mut counts = vec![0; layers.len()];
                for square in tiling.tiles() {
                    let parts = look(&model, &layers, &square.cut(image).unwrap());
                    for (at, layer) in layers.iter().enumerate() {
                        let places = square.places(layer.receptive_field(), size_of(&parts[at]));
                        let own = part(&parts[at], &places);
                        sums[at] += values(&own.sqr().unwrap()).iter().sum::<f32>();
                        counts[at] += places[0].len() * places[1].len();
                    }
                }
                assert_eq!(counts, [32 * 48, 16 * 24, 8 * 12]);
                sums.into_iter().map(|sum| vec![sum]).collect()
            };
            for (ours, truth) in sums(&moved).iter().zip(sums(&image)) {
                assert_close(ours, &truth, 1e-4, "moved");
            }
        }
    }

    #[test]
    fn inside_leaves_out_what_sees_the_edge() {
        let model = Model::embedded().unwrap();
        let fire = model.layer("fire2").unwrap();
        let field = fire.receptive_field();
        let tiling = Tiling::new(std::slice::from_ref(&fire), [160, 40], None, Edges::Inside).unwrap();
        let maps = look(&model, std::slice::from_ref(&fire), &random(&mut rng(3), (1, 3, 160, 40)));
        let [rows, columns] = tiling.tiles()[0].places(field, size_of(&maps[0]));
        assert!(field.start + (rows.start * field.jump) as i64 >= 0 && rows.start < 3, "{rows:?}");
        let end = field.start + ((rows.end - 1) * field.jump + field.size) as i64;
        assert!(end <= 160 && end + field.jump as i64 > 160, "{rows:?}");
        assert!(columns.len() >= 5, "{columns:?}");
    }

    #[test]
    fn cut_and_add_are_adjoint() {
        let mut rng = rng(4);
        let model = Model::embedded().unwrap();
        let layers = layers(&model);
        for (size, tile, edges) in [
            ([70, 55], None, Edges::Wrapped),
            ([170, 150], Some(140), Edges::Padded),
            ([170, 150], Some(140), Edges::Wrapped),
        ] {
            let x = random(&mut rng, (1, 3, size[0], size[1]));
            let tiling = Tiling::new(&layers, size, tile, edges).unwrap();
            for square in tiling.tiles() {
                let cut = square.cut(&x).unwrap();
                let y = random(&mut rng, cut.shape());
                let mut back = vec![0f32; 3 * size[0] * size[1]];
                square.add(&y, &mut back).unwrap();
                let dot =
                    |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
                let (there, back) = (dot(&values(&cut), &values(&y)), dot(&values(&x), &back));
                assert!((there - back).abs() < 1e-3, "{there} and {back}");
            }
        }
    }

    #[test]
    fn what_cannot_be_tiled_is_refused() {
        let model = Model::embedded().unwrap();
        let error = Tiling::new(&layers(&model), [500, 500], Some(40), Edges::Padded).unwrap_err();
        assert_eq!(error.argument(), Some("tile"));
        let vgg = Model::untrained("vgg11", 1, &Default::default()).unwrap();
        let pooled = [vgg.layer("avgpool").unwrap()];
        let error = Tiling::new(&pooled, [500, 500], Some(400), Edges::Padded).unwrap_err();
        assert!(error.message().contains("sees the whole image"), "{error}");
        assert!(Tiling::new(&pooled, [300, 300], Some(400), Edges::Padded).is_ok());
    }
}
