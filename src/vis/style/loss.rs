//! How far an image is from a style and from a content, over all layers in one run of the network, or square by square.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use percept_kernels::Target;
use percept_kernels::gram::Rectangle;

use super::places::{Edges, Tile, Tiling};
use super::statistics::{
    Weights, add_difference, difference, gram, gram_gradient, rows, square, square_distance, total_variation,
};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::model::{Layer, Model, NodeId, Op, ReceptiveField, Retained, RetainedRun, Rules, Run, budget};
use crate::tensor::{map, mean, sum_of, zip};
use crate::vis::descent::Loss;

/// The share of the memory limit that the activations of a content may take between steps, and those of a square.
const SHARE: usize = 6;

/// Places that weigh less together count as that much: a mask may leave none at a small size.
const LEAST_WEIGHT: f64 = 1e-6;

/// A network, the layers whose Gram matrices are compared, and how much each counts.
#[derive(Clone, Debug)]
pub struct Eye {
    /// The network that looks.
    pub model: Model,
    /// The layers, of that network.
    pub layers: Vec<Layer>,
    /// How much each counts; they add up to 1.
    pub weights: Vec<f64>,
}

/// What an image should have the Gram matrices of.
#[derive(Clone, Debug)]
pub struct Style {
    /// The Gram matrix of each layer, `[C, C]`, divided by the number of its places.
    pub grams: Vec<Tensor>,
    /// How much it counts beside other styles.
    pub weight: f64,
    /// Where it counts: a plane of values from 0 to 1 with its width and height; everywhere, if there is none.
    pub mask: Option<(Vec<f32>, [usize; 2])>,
}

/// What an image should look like.
#[derive(Clone, Debug)]
pub struct Content {
    /// It, `[1, 3, h, w]`.
    pub image: Tensor,
    /// The layer, of the network that looks.
    pub layer: Layer,
}

/// What an image is compared with.
#[derive(Debug)]
pub struct Wanted {
    /// Its styles.
    pub styles: Vec<Style>,
    /// How much their losses count together.
    pub strength: f64,
    /// Its content, which counts 1.
    pub content: Option<Content>,
    /// How much roughness counts.
    pub smoothness: f64,
    /// Whether the image is to stay grey.
    pub is_grey: bool,
}

impl Eye {
    /// How the places of an image of [height, width] are looked at: whole as far as the memory limit allows, or in squares.
    ///
    /// # Errors
    /// A layer looks at whole images, or squares are too small for it.
    pub fn tiling(&self, layers: &[Layer], size: [usize; 2], tile: Option<usize>, edges: Edges) -> Result<Tiling> {
        Tiling::new(layers, size, tile.or_else(|| self.usual_tile(layers, size)), edges)
    }

    /// The side of squares whose activations fit their share of the memory limit, if the whole image's do not.
    fn usual_tile(&self, layers: &[Layer], [height, width]: [usize; 2]) -> Option<usize> {
        let last = layers.iter().map(|layer| layer.id().index()).max()?;
        let nominal = (self.model.recipe().height * self.model.recipe().width).max(1);
        // activations and joins take no memory of their own
        let is_stored = |op: &Op| !matches!(op, Op::Activation(_) | Op::BatchNorm(_) | Op::Dropout | Op::Concat);
        let stored = self.model.graph().nodes().iter().zip(self.model.layers()).take(last + 1);
        let numbers: usize =
            stored.filter(|(node, _)| is_stored(&node.op)).map(|(_, row)| row.shape.iter().product::<usize>()).sum();
        // a value and a gradient for each
        let per_pixel = (2 * size_of::<f32>() * numbers).div_ceil(nominal).max(1);
        let most = budget::memory() / SHARE / per_pixel;
        let side = most.isqrt().max(super::places::least_tile(layers) * 2);
        (height * width > most && height.max(width) > side).then_some(side)
    }

    /// The Gram matrix of each layer for an image `[1, 3, h, w]`, divided by the number of places.
    ///
    /// # Errors
    /// The image is too small, or the run was interrupted.
    pub fn grams(&self, job: &Job, image: &Tensor, tile: Option<usize>, edges: Edges) -> Result<Vec<Tensor>> {
        let (_, _, height, width) = image.dims4()?;
        let tiling = self.tiling(&self.layers, [height, width], tile, edges)?;
        let fields = fields(&self.layers);
        let mut sums = vec![Sum::default(); self.layers.len()];
        for tile in tiling.tiles() {
            let run = look(job, &self.model, &ids(&self.layers), &tile.cut(image)?)?;
            for (at, (sum, field)) in sums.iter_mut().zip(&fields).enumerate() {
                let map = run.tap(at)?;
                sum.add(&rows(map, tile.places(*field, [map.height, map.width])), None)?;
            }
        }
        sums.into_iter().map(Sum::mean).collect()
    }
}

/// A run of layers for an image `[1, 3, h, w]`.
fn look(job: &Job, model: &Model, taps: &[NodeId], image: &Tensor) -> Result<RetainedRun> {
    let rules = Rules::default();
    model.retained(&model.recipe().to_input(image)?, &Run::new(taps, &rules, job.interrupt()))
}

fn ids(layers: &[Layer]) -> Vec<NodeId> {
    layers.iter().map(Layer::id).collect()
}

fn fields(layers: &[Layer]) -> Vec<ReceptiveField> {
    layers.iter().map(Layer::receptive_field).collect()
}

/// A Gram matrix that is being added up, and the weight of its places.
#[derive(Clone, Default)]
struct Sum {
    gram: Option<Tensor>,
    weight: f64,
}

impl Sum {
    fn add(&mut self, rows: &Rectangle<'_>, weights: Option<&[f32]>) -> Result<()> {
        let part = gram(rows, weights)?;
        self.weight += match weights {
            None => rows.count() as f64,
            Some(weights) => weights.iter().map(|weight| f64::from(*weight)).sum(),
        };
        self.gram = Some(match &self.gram {
            None => part,
            Some(sum) => zip(sum, &part, |a, b| a + b)?,
        });
        Ok(())
    }

    /// The mean over the places.
    fn mean(self) -> Result<Tensor> {
        let factor = (1.0 / self.weight.max(LEAST_WEIGHT)) as f32;
        match self.gram {
            Some(gram) => map(&gram, |value| value * factor),
            None => Err(Error::new(Kind::Internal, "a Gram matrix of no places")),
        }
    }
}

/// One Gram matrix that is compared.
#[derive(Clone, Debug)]
struct Term {
    /// Which of the layers that are looked at.
    layer: usize,
    target: Tensor,
    /// What its distance is multiplied by: its share of the style's loss over its own squared size.
    factor: f64,
    mask: Option<Weights>,
}

/// The distance to a content.
#[derive(Clone, Debug)]
struct Likeness {
    content: Content,
    /// Which of the layers that are looked at.
    layer: usize,
    /// One over the squared length of the content's activations.
    factor: f64,
    /// The rows of the content's activations in each square, if there is room for them.
    kept: Option<Vec<Arc<[f32]>>>,
}

/// How far an image is from styles and a content:
///
/// ‖Φ − Φ₀‖² / ‖Φ₀‖² + strength · Σ w ‖G − G₀‖² / ‖G₀‖² + smoothness · total variation
///
/// with the activations Φ of the content's layer and the Gram matrices G of the styles' layers. Relative to the size of what is
/// compared, all terms have one unit, and one strength suits all layers and networks. Gatys, Ecker and Bethge (2016) divide by
/// the size of the layers alone.
///
/// An image too large for one run is looked at twice: first the Gram matrices of its squares are added up, then the gradient is
/// taken square by square, each of whose places has the same slope S = G − G₀. Both are exactly those of the whole.
#[derive(Debug)]
pub struct StyleLoss {
    model: Model,
    taps: Vec<NodeId>,
    fields: Vec<ReceptiveField>,
    tiling: Tiling,
    terms: Vec<Term>,
    likeness: Option<Likeness>,
    smoothness: f64,
    is_grey: bool,
}

impl StyleLoss {
    /// For images of [height, width].
    ///
    /// # Errors
    /// The images are too small, squares of them say nothing of a layer, or the run was interrupted.
    pub fn new(
        job: &Job,
        eye: &Eye,
        wanted: Wanted,
        size: [usize; 2],
        tile: Option<usize>,
        edges: Edges,
    ) -> Result<Self> {
        let mut layers = eye.layers.clone();
        let content = wanted.content.map(|content| {
            let known = layers.iter().position(|layer| layer.id() == content.layer.id());
            let at = known.unwrap_or(layers.len());
            if known.is_none() {
                layers.push(content.layer.clone());
            }
            (content, at)
        });
        let (taps, fields) = (ids(&layers), fields(&layers));
        let tiling = eye.tiling(&layers, size, tile, edges)?;
        let mut loss = Self {
            terms: terms(eye, &wanted.styles, wanted.strength, size)?,
            likeness: None,
            model: eye.model.clone(),
            taps,
            fields,
            tiling,
            smoothness: wanted.smoothness,
            is_grey: wanted.is_grey,
        };
        if let Some((content, layer)) = content {
            loss.likeness = Some(loss.likeness_to(job, content, layer)?);
        }
        Ok(loss)
    }

    /// How many squares the image is looked at in.
    #[cfg(test)]
    fn squares(&self) -> usize {
        self.tiling.tiles().len()
    }

    fn likeness_to(&self, job: &Job, content: Content, layer: usize) -> Result<Likeness> {
        let mut likeness = Likeness { content, layer, factor: 0.0, kept: None };
        let (mut kept, mut sum, mut bytes) = (Vec::new(), 0.0, 0);
        for tile in self.tiling.tiles() {
            let rows = self.content_in(job, tile, &likeness)?;
            sum += sum_of(&rows, |value| f64::from(value) * f64::from(value));
            bytes += size_of_val(&*rows);
            // what has no room is looked at again in each step
            if bytes <= budget::memory() / SHARE {
                kept.push(rows);
            }
        }
        likeness.factor = 1.0 / sum.max(1e-12);
        likeness.kept = (kept.len() == self.tiling.tiles().len()).then_some(kept);
        Ok(likeness)
    }

    /// The rows of the content's activations in a square.
    fn content_in(&self, job: &Job, tile: &Tile, likeness: &Likeness) -> Result<Arc<[f32]>> {
        let part = tile.cut(&likeness.content.image)?;
        let run = look(job, &self.model, &[likeness.content.layer.id()], &part)?;
        Ok(self.rows(tile, likeness.layer, run.tap(0)?).rows().flatten().copied().collect())
    }

    /// Those that belong to a square, kept or seen again, if the image has a content.
    fn content_of(&self, job: &Job, at: usize, tile: &Tile) -> Result<Option<Arc<[f32]>>> {
        let Some(likeness) = &self.likeness else { return Ok(None) };
        Ok(Some(match likeness.kept.as_ref().and_then(|kept| kept.get(at)) {
            Some(content) => content.clone(),
            None => self.content_in(job, tile, likeness)?,
        }))
    }

    fn look(&self, job: &Job, tile: &Tile, image: &Tensor) -> Result<RetainedRun> {
        look(job, &self.model, &self.taps, &tile.cut(image)?)
    }

    /// The places of a square in a layer that count.
    fn rows<'a>(&self, tile: &Tile, layer: usize, map: Retained<'a>) -> Rectangle<'a> {
        rows(map, tile.places(self.fields[layer], [map.height, map.width]))
    }

    /// How much they count for a term.
    fn weights(&self, tile: &Tile, term: &Term, rows: &Rectangle<'_>) -> Option<Vec<f32>> {
        let places = [rows.lines.clone(), rows.columns.clone()];
        term.mask.as_ref().map(|mask| mask.of(&tile.in_whole(self.fields[term.layer], &places)))
    }

    /// Adds a square's Gram matrices.
    fn add(&self, sums: &mut [Sum], tile: &Tile, run: &RetainedRun) -> Result<()> {
        for (sum, term) in sums.iter_mut().zip(&self.terms) {
            let rows = self.rows(tile, term.layer, run.tap(term.layer)?);
            sum.add(&rows, self.weights(tile, term, &rows).as_deref())?;
        }
        Ok(())
    }

    /// The loss of the styles, and for each term the slope that [`gram_gradient`] takes.
    fn compare(&self, sums: Vec<Sum>) -> Result<(f64, Vec<Tensor>)> {
        let (mut value, mut slopes) = (0.0, Vec::with_capacity(sums.len()));
        for (sum, term) in sums.into_iter().zip(&self.terms) {
            let weight = sum.weight.max(LEAST_WEIGHT);
            let away = difference(&sum.mean()?, &term.target)?;
            value += term.factor * square(&away)?;
            // d‖G − G₀‖² = 2 (G − G₀) dG, and dG is twice what one of its two factors f changes
            let factor = (4.0 * term.factor / weight) as f32;
            slopes.push(map(&away, |value| value * factor)?);
        }
        Ok((value, slopes))
    }

    /// Writes what a layer's values in a square do to the loss, given the slopes of the whole image's Gram matrices and the rows
    /// of the square's content, or adds it to what is there.
    fn write(
        &self,
        tile: &Tile,
        (slopes, content): (&[Tensor], Option<&[f32]>),
        (layer, map): (usize, Retained<'_>),
        out: Target<'_>,
        mut accumulate: bool,
    ) -> Result<()> {
        let rows = self.rows(tile, layer, map);
        let Target { data, stride, offset } = out;
        for (term, slope) in self.terms.iter().zip(slopes).filter(|(term, _)| term.layer == layer) {
            let (weights, out) = (self.weights(tile, term, &rows), Target { data: &mut *data, stride, offset });
            gram_gradient(&rows, weights.as_deref(), slope, out, accumulate)?;
            accumulate = true;
        }
        match (&self.likeness, content) {
            (Some(likeness), Some(content)) if likeness.layer == layer => {
                let factor = (2.0 * likeness.factor) as f32;
                add_difference(&rows, content, factor, Target { data, stride, offset }, accumulate);
            }
            _ if !accumulate => data.chunks_exact_mut(stride).for_each(|row| row[offset..][..map.channels].fill(0.0)),
            _ => {}
        }
        Ok(())
    }

    /// How far a square's part of the content is from what it should be.
    fn distance(&self, tile: &Tile, content: Option<&[f32]>, run: &RetainedRun) -> Result<f64> {
        match (&self.likeness, content) {
            (Some(likeness), Some(content)) => {
                let rows = self.rows(tile, likeness.layer, run.tap(likeness.layer)?);
                Ok(likeness.factor * square_distance(&rows, content))
            }
            _ => Ok(0.0),
        }
    }

    /// The loss alone.
    ///
    /// # Errors
    /// As [`Loss::at`].
    pub fn value(&self, job: &Job, image: &Tensor) -> Result<f64> {
        let mut sums = vec![Sum::default(); self.terms.len()];
        let mut value = 0.0;
        for (at, tile) in self.tiling.tiles().iter().enumerate() {
            let run = self.look(job, tile, image)?;
            self.add(&mut sums, tile, &run)?;
            value += self.distance(tile, self.content_of(job, at, tile)?.as_deref(), &run)?;
        }
        value += self.compare(sums)?.0;
        Ok(if self.smoothness > 0.0 { value + self.smoothness * total_variation(image)?.0 } else { value })
    }
}

impl Loss for StyleLoss {
    fn at(&self, job: &Job, image: &Tensor) -> Result<(f64, Tensor)> {
        let tiles = self.tiling.tiles();
        let mut sums = vec![Sum::default(); self.terms.len()];
        // one piece is looked at once
        let mut whole = None;
        for tile in tiles {
            let run = self.look(job, tile, image)?;
            self.add(&mut sums, tile, &run)?;
            whole = (tiles.len() == 1).then_some(run);
        }
        let (mut value, slopes) = self.compare(sums)?;
        let [height, width] = self.tiling.size();
        let mut gradient = vec![0f32; 3 * height * width];
        for (at, tile) in tiles.iter().enumerate() {
            let run = match whole.take() {
                Some(seen) => seen,
                None => self.look(job, tile, image)?,
            };
            let content = self.content_of(job, at, tile)?;
            let content = content.as_deref();
            value += self.distance(tile, content, &run)?;
            let below = run.gradient(&|layer, map, out, accumulate| {
                self.write(tile, (&slopes, content), (layer, map), out, accumulate)
            })?;
            let recipe = self.model.recipe();
            tile.add(&recipe.as_seen(&recipe.to_rgb_gradient(&below)?)?, &mut gradient)?;
        }
        let mut gradient = Tensor::from_vec(gradient, (1, 3, height, width), &Device::Cpu)?;
        if self.smoothness > 0.0 {
            let (roughness, slope) = total_variation(image)?;
            let weight = self.smoothness as f32;
            value += self.smoothness * roughness;
            gradient = zip(&gradient, &slope, |a, b| a + weight * b)?;
        }
        if self.is_grey {
            let grey = mean(&gradient, &[1], true)?;
            gradient = Tensor::cat(&[&grey, &grey, &grey], 1)?;
        }
        Ok((value, gradient))
    }
}

/// What is compared: styles without masks are mixed into one; one with a mask is compared where that lets it count, and its loss
/// counts as much as it has places there.
fn terms(eye: &Eye, styles: &[Style], strength: f64, size: [usize; 2]) -> Result<Vec<Term>> {
    let all: f64 = styles.iter().map(|style| style.weight).sum();
    let mut terms = Vec::new();
    for (layer, (of, weight)) in eye.layers.iter().zip(&eye.weights).enumerate() {
        let mut term = |target: Tensor, share: f64, mask: Option<Weights>| -> Result<()> {
            let factor = strength * weight * share / square(&target)?.max(1e-12);
            terms.push(Term { layer, target, factor, mask });
            Ok(())
        };
        if styles.iter().all(|style| style.mask.is_none()) {
            let mut mixed: Option<Tensor> = None;
            for style in styles {
                let share = (style.weight / all) as f32;
                let gram = style.grams.get(layer).ok_or_else(|| Error::new(Kind::Internal, "a style lacks a layer"))?;
                mixed = Some(match mixed {
                    None => map(gram, |value| share * value)?,
                    Some(sum) => zip(&sum, gram, |sum, value| sum + share * value)?,
                });
            }
            if let Some(mixed) = mixed {
                term(mixed, 1.0, None)?;
            }
            continue;
        }
        for style in styles {
            let gram = style.grams.get(layer).ok_or_else(|| Error::new(Kind::Internal, "a style lacks a layer"))?;
            let mask = style.mask.as_ref().map(|mask| seen_by(of, mask, size)).transpose()?;
            let covered = mask.as_ref().map_or(1.0, |mask| {
                mask.values.iter().map(|value| f64::from(*value)).sum::<f64>() / mask.values.len().max(1) as f64
            });
            term(gram.clone(), covered * style.weight * styles.len() as f64 / all, mask)?;
        }
    }
    Ok(terms)
}

/// A mask at the size of a layer's maps for images of [height, width].
fn seen_by(layer: &Layer, (mask, from): &(Vec<f32>, [usize; 2]), [height, width]: [usize; 2]) -> Result<Weights> {
    let graph = layer.model().graph();
    let shapes = graph.shapes([graph.input_channels(), height, width], layer.id())?;
    let Some(&[_, rows, columns]) = shapes.last().map(Vec::as_slice) else {
        let message = format!("layer {} has no height and width", layer.name());
        return Err(Error::new(Kind::Argument, message).at_argument("layers"));
    };
    let [from_height, from_width] = *from;
    let filter = crate::image::Filter::Bilinear;
    let values = crate::image::resample(mask, (from_width, from_height), (columns, rows), filter)?;
    Ok(Weights { values, width: columns })
}

#[cfg(test)]
mod tests;
