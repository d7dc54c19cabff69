//! What each channel of a layer contributes to a number.

use std::fmt;

use crate::error::Result;
use crate::lang::{IntoValue, Provenance, Table, function, value_type};
use crate::model::Layer;
use crate::plot::{Data, Plot};
use crate::tensor::TensorValue;
use crate::vis::Prediction;

/// How many channels a text names, and how many of either sign a plot shows.
const NAMED: usize = 10;
/// Below this part of the largest share, a share is rounding.
const NOTHING: f64 = 1e-6;

/// A number for each channel of a layer.
#[derive(Clone, Debug)]
pub struct ChannelShares {
    /// The method: "knockout".
    pub method: &'static str,
    /// What is explained, of which network and image.
    pub prediction: Prediction,
    /// The layer.
    pub layer: Layer,
    /// The number of each channel, in order; positive ones speak for what is explained.
    pub values: Vec<f64>,
    /// What the numbers are: "drop of the \"koala\" logit".
    pub unit: String,
    /// Whether their sum is a number that means something.
    pub adds_up: bool,
    /// The channels of a later layer that they feed, in words, if that is what is explained.
    pub through: Option<String>,
    /// What is to be said about them.
    pub note: Option<String>,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(ChannelShares, "channel shares", "channel shares", "What each channel of a layer contributes.", provenance);

impl ChannelShares {
    /// The result of a method for a prediction.
    pub fn new(method: &'static str, prediction: &Prediction, layer: &Layer, values: Vec<f64>, unit: String) -> Self {
        Self {
            method,
            prediction: prediction.clone(),
            layer: layer.clone(),
            values,
            unit,
            adds_up: true,
            through: None,
            note: None,
            provenance: None,
        }
    }

    /// The same, with a sentence about it.
    #[must_use]
    pub fn noted(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }

    /// The same, of numbers whose sum means nothing.
    #[must_use]
    pub fn apart(self) -> Self {
        Self { adds_up: false, ..self }
    }

    /// The channels, the one with the largest number, of either sign, first.
    pub fn ranked(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.values.len()).collect();
        order.sort_by(|a, b| self.values[*b].abs().total_cmp(&self.values[*a].abs()).then(a.cmp(b)));
        order
    }

    /// How many channels contribute nothing, but for rounding.
    pub fn idle(&self) -> usize {
        let most = self.values.iter().fold(0f64, |most, value| most.max(value.abs()));
        self.values.iter().filter(|value| value.abs() <= NOTHING * most).count()
    }

    /// One row for each channel, the largest number first.
    pub fn table(&self) -> Table {
        let mut table = Table::new(&["channel", "value"]);
        let row = |channel: usize| vec![channel.into_value(), self.values[channel].into_value()];
        table.rows = self.ranked().into_iter().map(row).collect();
        table
    }

    /// What there is to say in a sentence or two.
    pub fn summary(&self) -> String {
        let (idle, all) = (self.idle(), self.values.len());
        let mut text = match (idle, self.adds_up) {
            (0, _) => String::new(),
            (_, true) => format!("{idle} of {all} channels carry nothing."),
            (_, false) => format!("{idle} of {all} channels change nothing."),
        };
        if self.adds_up {
            text += &format!(" All {all} together carry {:.4}.", self.values.iter().sum::<f64>());
        }
        if let Some(note) = &self.note {
            text += &format!(" {note}");
        }
        text.trim_start().to_owned()
    }

    /// Bars of the strongest channels of either sign, from the largest number to the least.
    ///
    /// # Errors
    /// The numbers cannot be drawn.
    pub fn plot(&self) -> Result<Plot> {
        let ranked = self.ranked();
        let most = ranked.first().map_or(0.0, |first| self.values[*first].abs());
        let moving = || ranked.iter().copied().filter(|channel| self.values[*channel].abs() > NOTHING * most);
        let mut shown: Vec<usize> = moving().filter(|channel| self.values[*channel] > 0.0).take(NAMED).collect();
        shown.extend(moving().filter(|channel| self.values[*channel] < 0.0).take(NAMED));
        shown.sort_by(|a, b| self.values[*b].total_cmp(&self.values[*a]).then(a.cmp(b)));
        if shown.is_empty() {
            shown = ranked.into_iter().take(NAMED).collect();
        }
        let mut heights: Vec<f64> = shown.iter().map(|channel| self.values[*channel]).collect();
        let mut names: Vec<String> = shown.iter().map(ToString::to_string).collect();
        let rising = heights.iter().filter(|height| **height > 0.0).count();
        // the weaker ones of both signs are left out between them
        if rising < heights.len() && shown.len() < self.values.len() {
            heights.insert(rising, 0.0);
            names.insert(rising, "…".into());
        }
        let mut plot = Plot::new(Data::Bars { heights: heights.into(), error: None })?;
        plot.x.names = Some(names.into());
        let left = self.values.len() - shown.len();
        let (name, target) = (self.layer.known_as(), self.prediction.target());
        let x = match left {
            0 => format!("channel of {name}"),
            _ => format!("channel of {name}: the strongest {} of {}", shown.len(), self.values.len()),
        };
        let plot = plot.axis_titles(x, self.unit.clone());
        let title = match &self.through {
            Some(through) => format!("What feeds {through}, by channel of {name}, for {target}"),
            None => format!("{} of the channels of {name} for {target}", self.method),
        };
        Ok(plot.title(title).caption(self.summary()))
    }
}

impl fmt::Display for ChannelShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} for {}: {} by channel of {}",
            self.method,
            self.prediction.target(),
            self.unit,
            self.layer.known_as()
        )?;
        let mut table = Table::new(&["channel", "value"]);
        let ranked = self.ranked();
        for channel in ranked.iter().take(NAMED) {
            table.rows.push(vec![(*channel).into_value(), format!("{:+.4}", self.values[*channel]).into_value()]);
        }
        writeln!(f, "{table}")?;
        if ranked.len() > NAMED {
            writeln!(f, "and {} weaker ones.", ranked.len() - NAMED)?;
        }
        f.write_str(&self.summary())
    }
}

/// The number of each channel, a tensor [channels].
///
/// ```rhai
/// knockout(photo("chelsea"), "fire9").values.shape
/// ```
#[function(property)]
fn values(
    /// The shares.
    shares: &ChannelShares,
) -> Result<TensorValue> {
    let values = shares.values.iter().map(|value| *value as f32).collect();
    TensorValue::from_values(values, &[shares.values.len()])
}

/// The channels, the one with the largest number, of either sign, first.
///
/// ```rhai
/// channel_attribution(photo("chelsea"), "fire6").channels[0]
/// ```
#[function(property)]
fn channels(
    /// The shares.
    shares: &ChannelShares,
) -> Result<Vec<usize>> {
    Ok(shares.ranked())
}

/// All channels with their numbers as a table, the largest number, of either sign, first.
///
/// ```rhai
/// channel_attribution(photo("chelsea"), "fire6").table
/// ```
#[function(property, name = "table")]
fn table_property(
    /// The shares.
    shares: &ChannelShares,
) -> Result<Table> {
    Ok(shares.table())
}
