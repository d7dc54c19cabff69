//! Networks with edits: of an image that was looked at before, only what stands behind an edit is computed again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use candle_core::Tensor;

use super::{Planned, budget};
use crate::error::Result;
use crate::model::{NodeId, Run, Scope};
use crate::tensor::with_values;

/// The part of the memory limit that stored activations may take.
const PART: usize = 16;

/// The activations of the last image, of layers that no edit changes; a network and all its edited forms share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered(Arc<Mutex<Option<Activations>>>);

#[derive(Clone, Debug)]
struct Activations {
    input: Tensor,
    /// Whether sums were exact, see [`Run::exact`].
    exact: bool,
    by_name: HashMap<String, Tensor>,
}

impl Activations {
    fn is_for(&self, input: &Tensor, exact: bool) -> Result<bool> {
        if self.exact != exact || self.input.dims() != input.dims() {
            return Ok(false);
        }
        with_values(&self.input, |known| with_values(input, |values| known == values))?
    }
}

impl Planned {
    /// The values of the taps, if the network has edits and the run is over one whole image: those of layers before the edits
    /// are stored, and the run starts from them.
    pub(super) fn beyond_edits(&self, x: &[Tensor], run: &Run<'_>) -> Result<Option<Vec<Tensor>>> {
        let graph = &self.0.graph;
        let [input] = x else { return Ok(None) };
        if run.from != [NodeId::INPUT] || input.dim(0)? != 1 || !graph.nodes().iter().any(|node| node.op.is_edit()) {
            return Ok(None);
        }
        let scope = Scope::new(graph, run)?;
        let mut changed = vec![false; graph.nodes().len()];
        let mut before = changed.clone();
        for id in scope.ids() {
            let node = graph.node(id);
            changed[id.index()] = node.op.is_edit() || node.inputs.iter().any(|input| changed[input.index()]);
            if changed[id.index()] {
                node.inputs.iter().for_each(|input| before[input.index()] |= !changed[input.index()]);
            }
        }
        let is_changed = |id: &NodeId| changed[id.index()];
        let starts: Vec<NodeId> = scope.ids().filter(|id| before[id.index()]).collect();
        let unchanged = run.taps.iter().copied().filter(|tap| !is_changed(tap) && !starts.contains(tap));
        let wanted: Vec<NodeId> = starts.iter().copied().chain(unchanged).collect();
        if starts.is_empty() || wanted.contains(&NodeId::INPUT) {
            return Ok(None);
        }
        let stored = self.stored(input, run, &wanted)?;
        let taps: Vec<NodeId> = run.taps.iter().copied().filter(is_changed).collect();
        let behind = self.plain(&stored[..starts.len()], &Run { taps: &taps, from: &starts, ..*run })?;
        let mut behind = behind.into_iter();
        let value = |tap: &NodeId| {
            if is_changed(tap) {
                behind.next()
            } else {
                wanted.iter().position(|id| id == tap).map(|at| stored[at].clone())
            }
        };
        Ok(run.taps.iter().map(value).collect())
    }

    /// The values of layers that no edit changes, as they are stored, or computed and stored.
    fn stored(&self, input: &Tensor, run: &Run<'_>, layers: &[NodeId]) -> Result<Vec<Tensor>> {
        let name = |id: &NodeId| self.0.graph.node(*id).name.clone();
        let known = self.0.remembered.0.lock().ok().and_then(|known| known.clone());
        let known = match known {
            Some(known) if known.is_for(input, run.exact)? => Some(known),
            _ => None,
        };
        if let Some(known) = &known {
            let found: Option<Vec<Tensor>> = layers.iter().map(|id| known.by_name.get(&name(id)).cloned()).collect();
            if let Some(found) = found {
                return Ok(found);
            }
        }
        let values = self.plain(std::slice::from_ref(input), &Run { taps: layers, ..*run })?;
        let mut by_name = known.map(|known| known.by_name).unwrap_or_default();
        by_name.extend(layers.iter().map(name).zip(values.iter().cloned()));
        let bytes: usize = by_name.values().map(|value| 4 * value.elem_count()).sum();
        if let Ok(mut known) = self.0.remembered.0.lock() {
            let fits = bytes <= budget::memory() / PART;
            *known = fits.then(|| Activations { input: input.clone(), exact: run.exact, by_name });
        }
        Ok(values)
    }
}
