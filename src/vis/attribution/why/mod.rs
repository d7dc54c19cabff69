//! One number of a network as the sum that it is.

mod plan;
mod walk;

use std::fmt;

use candle_core::Tensor;

use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Dynamic, FromValue, IntoValue, Provenance, Reject, Table, function, value_type};
use crate::model::{Channels, Input, Layer, LayerName, Model, Network, NodeId, Op, resolve_layer};
use crate::tensor::TensorValue;
use crate::vis::prediction::shown;

/// How many terms a text shows.
const SHOWN: usize = 8;

/// A unit of a layer, at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The layer.
    pub layer: NodeId,
    /// The channel.
    pub channel: usize,
    /// The row.
    pub y: usize,
    /// The column.
    pub x: usize,
}

/// A part of a sum: some units of one channel, each times a weight.
#[derive(Clone, Debug)]
pub struct Part {
    /// The first of them.
    pub unit: Unit,
    /// How many rows and columns of them there are.
    pub size: [usize; 2],
    /// Their values, row by row.
    pub patch: Vec<f32>,
    /// Their weights, row by row.
    pub kernel: Vec<f64>,
    /// What they add up to.
    pub value: f64,
}

/// A part of a sum that hangs on no unit.
#[derive(Clone, Debug)]
pub struct Constant {
    /// Where it comes from.
    pub layer: NodeId,
    /// What it is: "bias of conv1".
    pub what: String,
    /// How much it is.
    pub value: f64,
}

/// One number of a network, and the parts that it is the sum of.
#[derive(Clone, Debug)]
pub struct Why {
    /// The layer of the unit.
    pub layer: Layer,
    /// The unit.
    pub unit: Unit,
    /// The image as the network saw it.
    pub view: Image,
    /// It as network input.
    pub input: Tensor,
    /// How many layers with weights were taken apart.
    pub depth: usize,
    /// The number.
    pub value: f64,
    /// Units times weights, the largest part, of either sign, first.
    pub parts: Vec<Part>,
    /// Biases, and what functions hold back.
    pub constants: Vec<Constant>,
    /// What happened between the unit and the first sum.
    pub notes: Vec<String>,
    /// The unit above that this one is a part of, and so on, the last one first.
    pub above: Vec<String>,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(Why, "decomposition", "a decomposition", "One number of a network as the sum that it is.", provenance);

/// Through how many layers with weights a number is taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Depth(usize);

impl FromValue for Depth {
    const EXPECTED: &'static str = "how many layers with weights, or \"pixels\"";
    const TYPES: &'static [&'static str] = &["integer", "string"];
    const CHOICES: &'static [&'static str] = &["pixels"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        match value.as_int() {
            Ok(depth) => match usize::try_from(depth) {
                Ok(depth) if depth > 0 => Ok(Self(depth)),
                _ => Err(Reject::Because(format!("must be at least 1, not {depth}"), None)),
            },
            Err(_) if value.is_string() && value.to_string() == "pixels" => Ok(Self(usize::MAX)),
            Err(_) if value.is_string() => {
                Err(Reject::Because(format!("must be a number or \"pixels\", not {value:?}"), None))
            }
            Err(_) => Err(Reject::Type),
        }
    }
}

/// Why one number of a network is what it is: the sum that it is, part by part. Of a convolution, a part is what one input
/// channel gives: the patch of it that the unit sees, times the kernel; then come bias and batch-norm. The parts, the largest
/// first, add up to the number, and what is off is shown.
///
/// On the way to that sum, a ReLU says what it lets through, a max pooling which place won, and a concatenation whose channel
/// it is. A residual sum has the parts of both its sides. A squeeze-and-excitation counts as a factor. Of a row of numbers, as
/// behind a linear layer, `y` and `x` are 0.
///
/// `depth=2` takes the units below apart as well, and so on, down to "pixels": what rectifiers let through and poolings chose
/// for this image stays as it is, so the number is still a sum, of units of a lower layer times the weights with which they
/// reach it. Other functions count as the share f(z) / z that they let through. `deeper` goes down one part at a time instead.
///
/// ```rhai
/// why("fire2/expand3x3", 12, 20, 30, photo("chelsea"))
/// ```
///
/// ```rhai
/// why("fire2", 12, 20, 30, photo("chelsea"), depth="pixels")
/// ```
#[function(
    source = "the definition of the layers; for rectifier networks the sum at depth d is gradient × activation, Balduzzi et \
              al., Neural Taylor Approximations, 2017, arXiv:1611.02345"
)]
#[expect(clippy::too_many_arguments, reason = "they say which number")]
pub fn why(
    job: &Job,
    /// The layer: a layer, which decides the network, or the name of one.
    layer: &LayerName,
    /// The channel, from 0; of the scores the number of the class.
    channel: usize,
    /// The row, from 0.
    y: usize,
    /// The column, from 0.
    x: usize,
    /// The image, or a tensor in the network's input space.
    image: &Input,
    /// Through how many layers with weights it is taken apart; "pixels" for all.
    #[default(1)]
    depth: Depth,
    #[options] network: &Network,
) -> Result<Why> {
    let layer = resolve_layer(job, Some(layer), network.model.as_ref(), Model::default_cam_layer)?;
    let unit = Unit { layer: layer.id(), channel, y, x };
    if matches!(layer.node().op, Op::Input { .. }) {
        let error = Error::new(Kind::Argument, "why: the input is no sum of anything").at_argument("layer");
        return Err(error.with_hint("choose a layer behind it"));
    }
    if channel >= layer.units() {
        let last = layer.units().saturating_sub(1);
        let message = format!("layer {} has channels 0 to {last}, no {channel}", layer.name());
        return Err(Error::new(Kind::Argument, message).at_argument("channel"));
    }
    let (view, input) = shown(layer.model(), image)?;
    Why::of(job, &layer, unit, (view, input), depth.0, Vec::new())
}

/// One part further down: the largest unit of a part of a sum, taken apart in turn. A part is several units times a weight
/// each, and the one that gives most, of either sign, is taken.
///
/// ```rhai
/// why("fire3/expand3x3", 12, 20, 30, photo("chelsea")).deeper(1)
/// ```
///
/// ```rhai
/// why("fire3/expand3x3", 12, 20, 30, photo("chelsea")).deeper(2).deeper(1)
/// ```
#[function(source = "as for `why`")]
pub fn deeper(
    job: &Job,
    /// The sum.
    sum: &Why,
    /// Which part: 1 is the largest.
    rank: usize,
) -> Result<Why> {
    sum.deeper(job, rank)
}

impl Why {
    fn of(
        job: &Job,
        layer: &Layer,
        unit: Unit,
        (view, input): (Image, Tensor),
        depth: usize,
        above: Vec<String>,
    ) -> Result<Self> {
        let walk::Walk { value, parts, constants, notes } = walk::walk(job, layer.model(), &input, unit, depth)?;
        let layer = layer.clone();
        Ok(Self { layer, unit, view, input, depth, value, parts, constants, notes, above, provenance: None })
    }

    /// The largest unit of a part, taken apart.
    ///
    /// # Errors
    /// There is no such part, or it is of pixels.
    pub fn deeper(&self, job: &Job, rank: usize) -> Result<Self> {
        let part = self.part(rank)?;
        let layer = self.layer.sibling(part.unit.layer);
        if matches!(layer.node().op, Op::Input { .. }) {
            let error = Error::new(Kind::Argument, format!("deeper: part {rank} is of pixels, which are no sums"));
            return Err(error.at_argument("rank"));
        }
        let unit = part.largest();
        let above = std::iter::once(self.name()).chain(self.above.iter().cloned()).collect();
        Self::of(job, &layer, unit, (self.view.clone(), self.input.clone()), 1, above)
    }

    /// A part by its rank, from 1.
    fn part(&self, rank: usize) -> Result<&Part> {
        rank.checked_sub(1).and_then(|index| self.parts.get(index)).ok_or_else(|| {
            let message = format!("there are parts 1 to {}, no {rank}", self.parts.len());
            Error::new(Kind::Argument, message).at_argument("rank")
        })
    }

    /// How many digits behind the point tell something about its parts.
    pub fn digits(&self) -> usize {
        let constants = self.constants.iter().map(|constant| constant.value);
        let all = self.parts.iter().map(|part| part.value).chain(constants);
        match all.fold(0f64, |most, value| most.max(value.abs())) {
            most if most > 0.0 && most < 1.0 => 4 + ((-most.log10()) as usize).min(8),
            _ => 4,
        }
    }

    /// What all parts add up to.
    pub fn sum(&self) -> f64 {
        let parts: f64 = self.parts.iter().map(|part| part.value).sum();
        parts + self.constants.iter().map(|constant| constant.value).sum::<f64>()
    }

    /// The unit in words: `fire2/expand3x3, channel 12, y=20, x=30`.
    pub fn name(&self) -> String {
        let Unit { channel, y, x, .. } = self.unit;
        let name = self.layer_name(self.unit.layer);
        match self.layer.shape().len() {
            1 if self.unit.layer == self.layer.model().graph().output() => {
                format!("{name}, \"{}\"", self.layer.model().answer().classes().name(channel))
            }
            1 => format!("{name}, number {channel}"),
            _ => format!("{name}, channel {channel}, y={y}, x={x}"),
        }
    }

    /// The name of a layer that a reader knows best.
    fn layer_name(&self, id: NodeId) -> String {
        self.layer.sibling(id).known_as().to_owned()
    }

    /// A part in words: `fire2/squeeze1x1, channel 5`.
    pub fn part_name(&self, part: &Part) -> String {
        if let Op::Input { channels } = self.layer.model().graph().node(part.unit.layer).op {
            let colours: &[&str] = match self.layer.model().recipe().channels {
                Channels::Grey => &["grey"],
                Channels::Rgb => &["red", "green", "blue"],
                Channels::Bgr => &["blue", "green", "red"],
                Channels::Other(_) => &[],
            };
            return match colours.get(part.unit.channel) {
                Some(colour) if channels == colours.len() => format!("pixels, {colour}"),
                _ => format!("input, channel {}", part.unit.channel),
            };
        }
        format!("{}, channel {}", self.layer_name(part.unit.layer), part.unit.channel)
    }

    /// Where the units of a part are: `rows 19–21, columns 29–31`.
    pub fn part_place(&self, part: &Part) -> String {
        let Part { unit: Unit { y, x, .. }, size: [height, width], .. } = *part;
        let side = |name: &str, start: usize, length: usize| match length {
            1 => format!("{name} {start}"),
            _ => format!("{name}s {start}–{}", start + length - 1),
        };
        match self.layer.sibling(part.unit.layer).shape().len() {
            1 => String::new(),
            _ => format!("{}, {}", side("row", y, height), side("column", x, width)),
        }
    }

    /// One row for each part: its rank, what it is, its number, and what it and those before it add up to. Then the sum, the
    /// number itself, and what is off. `most` bounds the parts that get a row of their own.
    pub fn table(&self, most: usize) -> Table {
        let mut table = Table::new(&["rank", "part", "where", "value", "so_far"]);
        let digits = self.digits();
        let mut so_far = 0.0;
        let mut row = |rank: Dynamic, name: String, place: String, value: f64| {
            so_far += value;
            table.rows.push(vec![
                rank,
                name.into_value(),
                place.into_value(),
                written(value, digits),
                written(so_far, digits),
            ]);
        };
        for (index, part) in self.parts.iter().take(most).enumerate() {
            row((index + 1).into_value(), self.part_name(part), self.part_place(part), part.value);
        }
        if self.parts.len() > most {
            let rest = self.parts[most..].iter().map(|part| part.value).sum();
            row(text(""), format!("{} smaller parts", self.parts.len() - most), String::new(), rest);
        }
        for constant in &self.constants {
            row(text(""), constant.what.clone(), String::new(), constant.value);
        }
        let mut end = |name: &str, value: String| {
            table.rows.push(vec![text(""), text(name), text(""), value.into_value(), text("")]);
        };
        end("sum of the parts", format!("{:.*}", digits + 2, self.sum()));
        end("the number itself", format!("{:.*}", digits + 2, self.value));
        end("difference", format!("{:.1e}", self.sum() - self.value));
        table
    }

    /// What happened before the sum, and what it was a part of, in sentences.
    pub fn story(&self) -> Vec<String> {
        let above = self.above.first().map(|above| format!("It is a part of {above}."));
        above.into_iter().chain(self.notes.iter().cloned()).collect()
    }
}

impl Part {
    /// The unit that gives most, of either sign.
    pub fn largest(&self) -> Unit {
        let products = self.patch.iter().zip(&self.kernel).map(|(value, weight)| (f64::from(*value) * weight).abs());
        let at = products
            .enumerate()
            .fold((0, -1.0), |best, (at, product)| if product > best.1 { (at, product) } else { best });
        let width = self.size[1].max(1);
        Unit { y: self.unit.y + at.0 / width, x: self.unit.x + at.0 % width, ..self.unit }
    }
}

fn written(value: f64, digits: usize) -> Dynamic {
    format!("{value:+.digits$}").into_value()
}

fn text(text: &str) -> Dynamic {
    text.to_owned().into_value()
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} = {:.*}", self.name(), self.digits() + 2, self.value)?;
        self.story().iter().try_for_each(|line| writeln!(f, "{line}"))?;
        write!(f, "{}", self.table(SHOWN))
    }
}

/// The number that a sum adds up to, as the network computed it.
///
/// ```rhai
/// why("conv1", 3, 50, 60, photo("chelsea")).value
/// ```
#[function(property)]
fn value(
    /// The sum.
    sum: &Why,
) -> Result<f64> {
    Ok(sum.value)
}

/// How far the parts of a sum, added up in double precision, are from the number that the network computed.
///
/// ```rhai
/// why("conv1", 3, 50, 60, photo("chelsea")).difference
/// ```
#[function(property)]
fn difference(
    /// The sum.
    sum: &Why,
) -> Result<f64> {
    Ok(sum.sum() - sum.value)
}

/// What the parts of a sum are worth, a tensor [parts], the largest, of either sign, first; then what hangs on no unit, such
/// as the bias.
///
/// ```rhai
/// why("conv1", 3, 50, 60, photo("chelsea")).parts
/// ```
#[function(property)]
fn parts(
    /// The sum.
    sum: &Why,
) -> Result<TensorValue> {
    let constants = sum.constants.iter().map(|constant| constant.value);
    let values: Vec<f32> = sum.parts.iter().map(|part| part.value).chain(constants).map(|v| v as f32).collect();
    let count = values.len();
    TensorValue::from_values(values, &[count])
}

/// The parts of a sum as a table: what each is, where, its number, and what it and those before it add up to; then the sum,
/// the number itself and the difference.
///
/// ```rhai
/// why("conv1", 3, 50, 60, photo("chelsea")).table
/// ```
#[function(property, name = "table")]
fn table_property(
    /// The sum.
    sum: &Why,
) -> Result<Table> {
    Ok(sum.table(usize::MAX))
}

/// The units of one part of a sum, a tensor [height, width]; the part is this times its `kernel`, added up.
///
/// ```rhai
/// let sum = why("conv1", 3, 50, 60, photo("chelsea"));
/// (sum.patch(1) * sum.kernel(1)).sum()
/// ```
#[function(source = "as for `why`")]
fn patch(
    /// The sum.
    sum: &Why,
    /// Which part: 1 is the largest.
    rank: usize,
) -> Result<TensorValue> {
    let part = sum.part(rank)?;
    TensorValue::from_values(part.patch.clone(), &part.size)
}

/// The weights of one part of a sum, a tensor [height, width].
///
/// ```rhai
/// why("fire2", 12, 20, 30, photo("chelsea"), depth="pixels").kernel(1)
/// ```
#[function(source = "as for `why`")]
fn kernel(
    /// The sum.
    sum: &Why,
    /// Which part: 1 is the largest.
    rank: usize,
) -> Result<TensorValue> {
    let part = sum.part(rank)?;
    TensorValue::from_values(part.kernel.iter().map(|weight| *weight as f32).collect(), &part.size)
}
