//! The parts of images that excite a unit most.

use std::fmt;
use std::ops::Range;

use crate::data::{ImageSet, Kept, SetOrStore, Store};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Dynamic, IntoValue, Provenance, choices, function, value_type};
use crate::model::{ChannelNumbers, Layer};
use crate::tensor::with_values;

/// So many channels, from the first, if none are named.
const FIRST: usize = 8;
/// An image is enlarged at most so many times to show what is in it, and no patch has more pixels than that along a side.
const MOST_TIMES: usize = 4;
const MOST_SIDE: usize = 512;
/// The quantiles of the rows from the highest to the lowest.
const QUANTILES: [(f64, &str); 5] =
    [(1.0, "highest"), (0.75, "upper quarter"), (0.5, "middle"), (0.25, "lower quarter"), (0.0, "lowest")];
/// What stands where a unit sees beyond the image.
const BEYOND: [f32; 3] = [0.5; 3];

/// Which images of a set are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those with the largest values.
    #[default]
    Top,
    /// Those with the smallest.
    Bottom,
    /// Rows from the largest to the smallest.
    Quantiles,
}

choices!(Order { "top" => Top, "bottom" => Bottom, "quantiles" => Quantiles });

/// A part of an image that a unit sees, and what it answers.
#[derive(Clone, Debug)]
pub struct Patch {
    /// Its pixels, as many as the image has there.
    pub image: Image,
    /// What the unit answers.
    pub value: f32,
    /// The name of the image.
    pub name: String,
    /// The class of the image, if it has one.
    pub label: Option<String>,
    /// Row and column in the map.
    pub place: [usize; 2],
}

/// Patches that go together.
#[derive(Clone, Debug)]
pub struct PatchRow {
    /// What they are of: "channel 12", or "channel 12, lowest".
    pub title: String,
    /// In order.
    pub patches: Vec<Patch>,
}

/// Parts of images that excite units of a layer.
#[derive(Clone, Debug)]
pub struct TopPatches {
    /// The layer.
    pub layer: Layer,
    /// How many images were looked at.
    pub images: usize,
    /// Which of them are shown.
    pub order: Order,
    /// For each channel, or quantile of a channel.
    pub rows: Vec<PatchRow>,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(TopPatches, "patches", "patches", "Parts of images that excite units of a layer.", provenance);

impl fmt::Display for TopPatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "patches of {} images that {} answers to", self.images, self.layer.label())?;
        for row in &self.rows {
            let values: Vec<String> = row.patches.iter().map(|patch| format!("{:.2}", patch.value)).collect();
            write!(f, "\n{}: {}", row.title, values.join(" "))?;
        }
        Ok(())
    }
}

/// The parts of images that excite units of a layer most: of each image the place where the channel's value is largest, cut out
/// as far as the unit sees (its receptive field), with as many pixels as the image has there. What a unit has learned is in what
/// they have in common.
///
/// Over a set, the network looks at all images once; what it makes of them is kept with the set, and a store has it in files.
///
/// ```rhai
/// layer("fire5").top_patches(gallery(), channel=12)
/// ```
///
/// ```rhai
/// layer("fire5").top_patches(gallery(), channel=12, order="quantiles", k=6)
/// ```
#[function(source = "Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2013, arXiv:1311.2901")]
pub fn top_patches(
    job: &Job,
    /// The layer.
    layer: &Layer,
    /// The images: a set, a store, or a list.
    images: &SetOrStore,
    /// Which channels: one, a list, or a range such as `0..16`; the first 8, if not given.
    #[default]
    channel: Option<ChannelNumbers>,
    /// How many patches of each.
    #[default(9)]
    #[range(1..=100)]
    k: usize,
    /// At most so many patches of one image.
    #[default(1)]
    #[range(1..=100)]
    per_image: usize,
    /// "top" for the largest values, "bottom" for the smallest maxima, "quantiles" for rows from the largest to the smallest.
    #[default("top")]
    order: Order,
) -> Result<TopPatches> {
    let channels = channel.unwrap_or_else(|| ChannelNumbers((0..FIRST.min(layer.units())).collect()));
    let channels = channels.of(layer).map_err(|error| error.at_argument("channel"))?;
    if per_image > 1 && order != Order::Top {
        let message = "top_patches: several patches of an image are found from the top only";
        return Err(Error::new(Kind::Argument, message).at_argument("per_image"));
    }
    let store = images.at(job, layer)?;
    let set = store.made_of()?.1;
    let count = store.rows().len();
    if count < k {
        let message = format!("top_patches: there are {count} images, fewer than {k}");
        return Err(Error::new(Kind::Argument, message).with_hint(format!("k={count} at most")).at_argument("k"));
    }
    let (maxima, at) = (store.numbers(layer.known_as(), Kept::Max)?, store.numbers(layer.known_as(), Kept::At)?);
    let units = layer.units();
    let mut rows = Vec::new();
    for channel in channels {
        let value = |image: usize| maxima.get(image * units + channel).copied().unwrap_or(f32::NAN);
        let mut ranked: Vec<usize> = (0..count).collect();
        // of equals, and of what is no number, the first in the set first
        ranked.sort_by(|a, b| value(*b).total_cmp(&value(*a)).then(a.cmp(b)));
        let spot = |image: &usize| Spot {
            image: *image,
            place: at.get(image * units + channel).map_or(0, |at| *at as usize),
            value: value(*image),
        };
        let title = format!("channel {channel}");
        let chosen: Vec<(String, Vec<Spot>)> = match order {
            Order::Top if per_image > 1 => {
                vec![(title, several(job, layer, set, *channel, &ranked, (k, per_image), &value)?)]
            }
            Order::Top => vec![(title, ranked.iter().take(k).map(spot).collect())],
            Order::Bottom => vec![(title, ranked.iter().rev().take(k).map(spot).collect())],
            Order::Quantiles => QUANTILES
                .iter()
                .map(|(quantile, name)| {
                    let range = around(*quantile, count, k);
                    (format!("{title}, {name}"), ranked.get(range).unwrap_or_default().iter().map(spot).collect())
                })
                .collect(),
        };
        rows.extend(chosen);
    }
    Ok(TopPatches {
        layer: layer.clone(),
        images: count,
        order,
        rows: cut(job, layer, &store, rows)?,
        provenance: None,
    })
}

/// A place in an image.
#[derive(Clone, Copy, Debug)]
struct Spot {
    image: usize,
    place: usize,
    value: f32,
}

/// So many ranks, the first of which is the highest, around a quantile.
fn around(quantile: f64, count: usize, k: usize) -> Range<usize> {
    let middle = ((1.0 - quantile) * count as f64) as usize;
    let start = middle.saturating_sub(k / 2).min(count.saturating_sub(k));
    start..start + k
}

/// The largest values of a channel, several of which may be of one image. Images are looked at from the highest maximum on, and
/// no more of them once none can have a larger value.
fn several(
    job: &Job,
    layer: &Layer,
    set: &ImageSet,
    channel: usize,
    ranked: &[usize],
    (k, per_image): (usize, usize),
    maximum: &dyn Fn(usize) -> f32,
) -> Result<Vec<Spot>> {
    let model = layer.model();
    let mut found: Vec<Spot> = Vec::new();
    for image in ranked {
        if found.len() >= k && found.get(k - 1).is_some_and(|last| maximum(*image) <= last.value) {
            break;
        }
        let input = model.input(&model.view(&set.read(job, *image)?)?)?;
        let values = layer.activations(&input, job.interrupt())?.narrow(1, channel, 1)?;
        let own = with_values(&values, |values| {
            let mut own: Vec<Spot> =
                values.iter().enumerate().map(|(place, value)| Spot { image: *image, place, value: *value }).collect();
            own.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.place.cmp(&b.place)));
            own.truncate(per_image);
            own
        })?;
        found.extend(own);
        found.sort_by(|a, b| b.value.total_cmp(&a.value));
        found.truncate(k);
    }
    Ok(found)
}

/// Cuts the patches out of their images; each image is read once.
fn cut(job: &Job, layer: &Layer, store: &Store, rows: Vec<(String, Vec<Spot>)>) -> Result<Vec<PatchRow>> {
    let set = store.made_of()?.1;
    let mut images: Vec<usize> = rows.iter().flat_map(|(_, spots)| spots.iter().map(|spot| spot.image)).collect();
    images.sort_unstable();
    images.dedup();
    let spots: Vec<(usize, usize, Spot)> = rows
        .iter()
        .enumerate()
        .flat_map(|(row, (_, spots))| spots.iter().enumerate().map(move |(at, spot)| (row, at, *spot)))
        .collect();
    let mut patches: Vec<Vec<Option<Patch>>> = rows.iter().map(|(_, spots)| vec![None; spots.len()]).collect();
    let progress = job.progress("patches", images.len());
    for images in images.chunks(MOST_AT_ONCE) {
        let views = set.read_each(job, images, |image| Ok((factor(layer, &image), image)))?;
        for (index, view) in images.iter().zip(views) {
            let (factor, image) = view?;
            let view = layer.model().enlarged_view(&image, factor)?;
            for (row, at, spot) in spots.iter().filter(|(.., spot)| spot.image == *index) {
                let place = place_of(layer, spot.place);
                let row_of = store.rows().get(*index);
                let patch = Patch {
                    image: seen(layer, &view, factor, place)?,
                    value: spot.value,
                    name: row_of.map_or_else(String::new, |row| row.name.to_string()),
                    label: row_of.and_then(|row| row.label.clone()),
                    place,
                };
                if let Some(to) = patches.get_mut(*row).and_then(|row| row.get_mut(*at)) {
                    *to = Some(patch);
                }
            }
        }
        progress.advance(images.len())?;
    }
    let row = |((title, _), patches): ((String, Vec<Spot>), Vec<Option<Patch>>)| PatchRow {
        title,
        patches: patches.into_iter().flatten().collect(),
    };
    Ok(rows.into_iter().zip(patches).map(row).collect())
}

/// So many images are read at once.
const MOST_AT_ONCE: usize = 4;

/// How many times the pixels of the view an image has, within bounds.
fn factor(layer: &Layer, image: &Image) -> usize {
    let recipe = layer.model().recipe();
    let has = (image.width() / recipe.width.max(1)).min(image.height() / recipe.height.max(1));
    let side = layer.receptive_field().size.min(recipe.width.max(recipe.height)).max(1);
    has.min(MOST_SIDE / side).clamp(1, MOST_TIMES)
}

/// Row and column of a place in the layer's maps.
fn place_of(layer: &Layer, place: usize) -> [usize; 2] {
    match layer.shape() {
        [_, _, width] => [place / (*width).max(1), place % (*width).max(1)],
        _ => [0, 0],
    }
}

/// The part of a view, `factor` times enlarged, that a unit sees: its receptive field, as far as that is not larger than the
/// image. A unit without a place sees all of it.
fn seen(layer: &Layer, view: &Image, factor: usize, [row, column]: [usize; 2]) -> Result<Image> {
    if !layer.has_places() {
        return Ok(view.clone());
    }
    let field = layer.receptive_field();
    let window = |at: usize, length: usize| {
        let start = (field.start + (at * field.jump) as i64) * factor as i64;
        let size = field.size.saturating_mul(factor);
        if size >= length { (0, length) } else { (start, size) }
    };
    let (top, height) = window(row, view.height());
    let (left, width) = window(column, view.width());
    // the part of the window that lies in the image
    let inside = |start: i64, size: usize, length: usize| {
        let from = start.clamp(0, length as i64);
        (from, (start + size as i64).clamp(from, length as i64) - from)
    };
    let ((y, high), (x, wide)) = (inside(top, height, view.height()), inside(left, width, view.width()));
    if (high as usize, wide as usize) == (height, width) {
        return view.crop(x as usize, y as usize, width, height);
    }
    let mut planes = Vec::with_capacity(3 * width * height);
    for (plane, beyond) in view.channels().into_iter().zip(BEYOND) {
        let mut canvas = vec![beyond; width * height];
        let rows = canvas.chunks_exact_mut(width).skip((y - top) as usize);
        for (row, line) in rows.zip(plane.chunks_exact(view.width()).skip(y as usize).take(high as usize)) {
            let line = line.iter().skip(x as usize).take(wide as usize);
            row.iter_mut().skip((x - left) as usize).zip(line).for_each(|(to, from)| *to = *from);
        }
        planes.append(&mut canvas);
    }
    Image::from_planes(width, height, planes, None)
}

/// The values of the patches, a list for each row.
///
/// ```rhai
/// layer("fire5").top_patches(gallery(), channel=12).values[0][0]
/// ```
#[function(property)]
fn values(
    /// The patches.
    patches: &TopPatches,
) -> Result<Vec<Dynamic>> {
    Ok(patches.each(|patch| f64::from(patch.value).into()))
}

/// The pixels of the patches, a list of images for each row.
///
/// ```rhai
/// layer("fire5").top_patches(gallery(), channel=12).images[0][0]
/// ```
#[function(property, name = "images")]
fn images_word(
    /// The patches.
    patches: &TopPatches,
) -> Result<Vec<Dynamic>> {
    Ok(patches.each(|patch| patch.image.clone().into_value()))
}

/// The names of the images that the patches are of, a list for each row.
///
/// ```rhai
/// layer("fire5").top_patches(gallery(), channel=12).names[0]
/// ```
#[function(property)]
fn names(
    /// The patches.
    patches: &TopPatches,
) -> Result<Vec<Dynamic>> {
    Ok(patches.each(|patch| patch.name.clone().into()))
}

impl TopPatches {
    /// A list for each row.
    fn each(&self, one: impl Fn(&Patch) -> Dynamic) -> Vec<Dynamic> {
        let row = |row: &PatchRow| Dynamic::from_array(row.patches.iter().map(&one).collect());
        self.rows.iter().map(row).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::data::ImageSet;
    use crate::image::noise;
    use crate::model::Model;

    /// Each patch is that part of the view in which a change changes the unit, and nothing beside it does.
    #[test]
    fn a_patch_is_what_the_unit_sees() {
        let (job, model) = (Job::detached(), Model::embedded().unwrap());
        let images: Vec<Image> = (0..3).map(|seed| noise(227, 227, seed).unwrap()).collect();
        let set = ImageSet::of_images(&images).unwrap();
        let layer = model.layer("relu_conv1").unwrap();
        let channels = Some(ChannelNumbers(vec![5]));
        let found = top_patches(&job, &layer, &SetOrStore::Set(set), channels, 3, 1, Order::Top).unwrap();
        let patches = &found.rows[0].patches;
        assert!(patches[0].value >= patches[1].value && patches[1].value >= patches[2].value);
        let field = layer.receptive_field();
        for patch in patches {
            let index: usize = patch.name.parse().unwrap();
            let view = model.view(&images[index]).unwrap();
            let [top, left] = patch.place.map(|at| field.start + (at * field.jump) as i64);
            assert_eq!((patch.image.width(), patch.image.height()), (field.size, field.size));
            let value = |image: &Image| {
                let input = model.input(image).unwrap();
                let maps = layer.activations(&input, job.interrupt()).unwrap();
                let map: Vec<Vec<f32>> = maps.squeeze(0).unwrap().get(5).unwrap().to_vec2().unwrap();
                map[patch.place[0]][patch.place[1]]
            };
            assert_eq!(value(&view), patch.value);
            // grey everywhere but there: the unit does not notice
            let inside = |at: usize| {
                let (y, x) = ((at / 227) as i64, (at % 227) as i64);
                (top..top + field.size as i64).contains(&y) && (left..left + field.size as i64).contains(&x)
            };
            let planes = view.channels().into_iter().flat_map(|plane| {
                plane.iter().enumerate().map(|(at, value)| if inside(at) { *value } else { 0.5 }).collect::<Vec<_>>()
            });
            let alone = Image::from_planes(227, 227, planes.collect(), None).unwrap();
            assert!((value(&alone) - patch.value).abs() <= 1e-5 * patch.value.abs());
            for (at, pixel) in patch.image.channels()[0].iter().enumerate() {
                let (y, x) = (top + (at / field.size) as i64, left + (at % field.size) as i64);
                if (0..227).contains(&y) && (0..227).contains(&x) {
                    assert_eq!(*pixel, view.channels()[0][(y * 227 + x) as usize]);
                }
            }
        }
    }

    #[test]
    fn ranks_around_a_quantile() {
        assert_eq!(around(1.0, 100, 9), 0..9);
        assert_eq!(around(0.5, 100, 9), 46..55);
        assert_eq!(around(0.0, 100, 9), 91..100);
        assert_eq!(around(0.25, 9, 9), 0..9);
    }
}
